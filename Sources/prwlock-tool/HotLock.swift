import LockVocabulary
import LockWire
import Posix

/// What a lock has cost, with a description of the process that held it during the longest wait.
struct HotLock {
    let row: Row.Hot
    /// Nothing is described if that process has ended, because its id may be that of another process now.
    let holder: ProcessDescription

    init(
        _ row: Row.Hot, facts: (Int32?) -> ProcessDescription,
        startTime: (Int32) -> ProcessStartTime? = { ProcessStartTime(of: $0) }
    ) {
        self.row = row
        guard let process = row.behind?.processID, let ago = row.ago, let start = startTime(process),
            start < ProcessStartTime(ago: ago)
        else {
            holder = ProcessDescription()
            return
        }
        holder = facts(process)
    }

    static let columns: [Table.Column] = [
        .init("WAITED"), .init("WAITS", isNumber: true), .init("P50", expendability: 6),
        .init("P95", expendability: 7), .init("LONGEST"), .init("AT", expendability: 4),
        .init("BEHIND"), .init("USER", expendability: 3),
        .init("COMMAND", mayBeCut: true, expendability: 5),
        .init("GRANTS", isNumber: true, expendability: 2), .init("HELD", expendability: 1),
        .init("NAME", mayBeCut: true),
    ]

    func cells(_ clock: DisplayClock) -> [String] {
        let hasWaited = row.waits > 0
        return [
            hasWaited ? Self.words(row.waited) : "", String(row.waits),
            waitPercentile(50).map(Self.words) ?? "", waitPercentile(95).map(Self.words) ?? "",
            hasWaited ? Self.words(row.longest) : "", row.ago.map { clock.time(before: $0) } ?? "",
            behind, holder.user ?? "",
            holder.command ?? "", String(row.grants), Self.words(row.held), row.name.shown,
        ]
    }

    private var behind: String {
        guard let holder = row.behind else { return "" }
        return "\(holder.processID.map(String.init) ?? "?") (\(holder.mode))"
    }

    /// For programs: durations are in milliseconds, and those of single waits in microseconds.
    var json: JSON {
        var behind = JSON.null
        if let holder = row.behind {
            let facts: [(String, JSON)] = [
                ("pid", .optional(holder.processID)), ("mode", .string(holder.mode.description)),
            ]
            behind = .object(facts + self.holder.json)
        }
        return .object([
            ("name", .string(row.name.decoded)), ("encoded", .string(row.name.text)),
            ("grants", .integer(row.grants)), ("waits", .integer(row.waits)),
            ("waited_ms", .milliseconds(row.waited)), ("held_ms", .milliseconds(row.held)),
            ("wait_p50_us", Self.microseconds(waitPercentile(50))),
            ("wait_p95_us", Self.microseconds(waitPercentile(95))),
            ("longest_wait_ms", .milliseconds(row.longest)), ("longest_wait_ago_ms", .milliseconds(row.ago)),
            ("longest_wait_behind", behind), ("over_us", .integer(row.over)),
            ("wait_buckets", .array(row.waitBuckets.map(JSON.integer))),
            ("hold_buckets", .array(row.holdBuckets.map(JSON.integer))),
        ])
    }

    private func waitPercentile(_ percent: Int) -> Duration? {
        Percentile(percent).value(in: row.waitBuckets, longest: row.longest)
    }

    /// Many waits are shorter than a millisecond.
    private static func words(_ duration: Duration) -> String {
        duration < .milliseconds(1) ? "\(duration.wholeNanoseconds / 1000) µs" : duration.inWords
    }

    private static func microseconds(_ duration: Duration?) -> JSON {
        duration.map { .integer(Int($0.wholeNanoseconds / 1000)) } ?? .null
    }
}
