import Glibc

/// Formats times for people who compare them with their logs.
struct DisplayClock {
    /// Time since 1970. It keeps the fraction of a second, so that `now - age` yields the same past time however often
    /// it is computed.
    private let now: Duration

    /// Reads the system's clock.
    init() {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        now = .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// - Parameter now: seconds since 1970, for tests.
    init(now: Int) { self.now = .seconds(now) }

    /// The time of day `age` ago, with the date if that was another day.
    func time(before age: Duration) -> String {
        let then = fields(now - age)
        let today = fields(now)
        let clock = "\(Self.pad(then.tm_hour)):\(Self.pad(then.tm_min)):\(Self.pad(then.tm_sec))"
        if then.tm_yday == today.tm_yday, then.tm_year == today.tm_year { return clock }
        return "\(Int(then.tm_year) + 1900)-\(Self.pad(then.tm_mon + 1))-\(Self.pad(then.tm_mday)) \(clock)"
    }

    /// The time of day at a moment since 1970, with the date if that is another day.
    func time(at moment: Duration) -> String { time(before: now - moment) }

    /// The current time in UTC, in the format of RFC 3339.
    var timestamp: String { Self.timestamp(of: now) }

    /// A moment since 1970 in UTC, in the format of RFC 3339.
    static func timestamp(of moment: Duration) -> String {
        var seconds = Int(moment.components.seconds)
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

    private static func pad(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
