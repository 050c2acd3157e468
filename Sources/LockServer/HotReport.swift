import LockCore
public import LockVocabulary

/// The report of the locks that have cost most in the last day: once a day, if the operator wants it.
struct HotReport {
    static let interval = Duration.seconds(86_400)
    /// How many locks are reported.
    static let most = 10

    /// When the next report is due; nil for never.
    var due: Instant?
}

/// What a lock has cost in a day.
public struct DayOfLock: Sendable, Equatable {
    /// Its place among the locks of the report, from 1 on.
    public let place: Int
    public let grants: Int
    public let held: Duration
    public let waits: Int
    public let waited: Duration
    /// The longest wait for the lock, if it was in this day.
    public let longest: Duration?
    /// The process that held the lock meanwhile, if it is known.
    public let behind: Int32?
}

extension Server {
    /// Has what locks cost reported each day from now on, or not.
    public mutating func reportHotLocks(_ isWanted: Bool, at now: Instant) {
        guard isWanted else {
            hotReport.due = nil
            return
        }
        guard hotReport.due == nil else { return }
        hotReport.due = now.advanced(by: HotReport.interval)
        table.beginHotReport()
    }

    /// Reports the locks for which requests waited longest, in all, since the last report.
    mutating func reportHotLocks(at now: Instant) {
        let days = table.times.hot.all.map { (costs: $0, day: $0.sinceReport) }.filter { $0.day.waits > 0 }
        let worst = days.sorted {
            ($0.day.waited, $1.costs.name.text) > ($1.day.waited, $0.costs.name.text)
        }
        for (place, (costs, day)) in worst.prefix(HotReport.most).enumerated() {
            let longest = costs.longest.flatMap {
                $0.end.duration(to: now) <= HotReport.interval ? $0 : nil
            }
            note(
                .hotLock(
                    DayOfLock(
                        place: place + 1, grants: day.grants, held: .microseconds(day.held), waits: day.waits,
                        waited: .microseconds(day.waited), longest: longest.map { .microseconds($0.time) },
                        behind: longest?.behind?.processID)),
                costs.name, by: nil)
        }
        table.beginHotReport()
        hotReport.due = now.advanced(by: HotReport.interval)
    }
}
