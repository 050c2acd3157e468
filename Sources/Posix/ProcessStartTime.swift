import Glibc

/// The time when a process started, which distinguishes it from a later process with the same id.
public struct ProcessStartTime: Hashable, Comparable, Sendable {
    /// Clock ticks since the host was booted (`/proc/PID/stat`, field 22).
    public let ticks: UInt64

    /// The start time of a process that would start now.
    public static var now: ProcessStartTime { ProcessStartTime(ago: .zero) }

    /// The start time of a process that started so long ago.
    public init(ago age: Duration) {
        let ticksPerSecond = Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let start = BootClock.now() - Int64(clamping: age.attoseconds / 1_000_000_000)
        self.init(ticks: UInt64(max(0, start / (1_000_000_000 / ticksPerSecond))))
    }

    private init(ticks: UInt64) { self.ticks = ticks }

    /// The start time of the process that has the id now; nil if there is none, or `/proc` does not show it.
    public init?(of process: Int32) {
        guard let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096) else { return nil }
        self.init(statLine: line)
    }

    /// Parses a line of `/proc/PID/stat`; the program's name may contain blanks and parentheses.
    package init?(statLine: [UInt8]) {
        guard let nameEnd = statLine.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = statLine[(nameEnd + 1)...].split(separator: UInt8(ascii: " "))
        // The first field after the name is field 3.
        guard fields.count > 19,
            let ticks = UInt64(String(decoding: fields[fields.startIndex + 19], as: UTF8.self))
        else { return nil }
        self.ticks = ticks
    }

    public static func < (left: ProcessStartTime, right: ProcessStartTime) -> Bool {
        left.ticks < right.ticks
    }
}
