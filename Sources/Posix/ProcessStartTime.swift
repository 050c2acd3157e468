import Glibc

/// When a process started, which tells it from a later one with the same id.
public struct ProcessStartTime: Hashable, Comparable, Sendable {
    /// Clock ticks since the host was booted (`/proc/PID/stat`, field 22).
    public let ticks: UInt64

    /// What the start of a process would be that started now.
    public static var now: ProcessStartTime {
        let ticksPerSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return ProcessStartTime(ticks: UInt64(BootClock.now()) / (1_000_000_000 / ticksPerSecond))
    }

    private init(ticks: UInt64) { self.ticks = ticks }

    /// The start of the process that has the id now; nil if there is none, or `/proc` does not show it.
    public init?(of process: Int32) {
        guard let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096) else { return nil }
        self.init(statLine: line)
    }

    /// The start out of a line of `/proc/PID/stat`; the program's name may hold blanks and parentheses.
    package init?(statLine: [UInt8]) {
        guard let nameEnd = statLine.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = statLine[(nameEnd + 1)...].split(separator: UInt8(ascii: " "))
        // The first one after the name is field 3.
        guard fields.count > 19,
            let ticks = UInt64(String(decoding: fields[fields.startIndex + 19], as: UTF8.self))
        else { return nil }
        self.ticks = ticks
    }

    public static func < (left: ProcessStartTime, right: ProcessStartTime) -> Bool {
        left.ticks < right.ticks
    }
}
