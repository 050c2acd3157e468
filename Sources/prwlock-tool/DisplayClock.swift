import Glibc

/// The time on the wall, for people who compare it with their logs.
struct DisplayClock {
    /// Since 1970: with its fraction, so that an instant in the past is shown alike whenever it is asked for.
    private let now: Duration

    /// What the system's clock says.
    init() {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        now = .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// Seconds since 1970, so that a test can say what time it is.
    init(now: Int) { self.now = .seconds(now) }

    /// When it was so long ago: the time of day, and the date if it was another day.
    func time(before age: Duration) -> String {
        let then = fields(now - age)
        let today = fields(now)
        let clock = "\(pad(then.tm_hour)):\(pad(then.tm_min)):\(pad(then.tm_sec))"
        if then.tm_yday == today.tm_yday, then.tm_year == today.tm_year { return clock }
        return "\(Int(then.tm_year) + 1900)-\(pad(then.tm_mon + 1))-\(pad(then.tm_mday)) \(clock)"
    }

    /// Now, as RFC 3339 has it, in UTC.
    var timestamp: String {
        var seconds = Int(now.components.seconds)
        var fields = tm()
        gmtime_r(&seconds, &fields)
        return "\(Int(fields.tm_year) + 1900)-\(pad(fields.tm_mon + 1))-\(pad(fields.tm_mday))"
            + "T\(pad(fields.tm_hour)):\(pad(fields.tm_min)):\(pad(fields.tm_sec))Z"
    }

    private func fields(_ time: Duration) -> tm {
        var seconds = Int(time.components.seconds)
        var fields = tm()
        localtime_r(&seconds, &fields)
        return fields
    }

    private func pad(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
