import CLinux

/// The cause of the end of a process that is ending or has ended.
public enum ProcessEnd {
    /// Whether a signal ended the process; false if this is not visible.
    ///
    /// Field 52 of `/proc/PID/stat` has the status as `wait` reports it, from before the kernel closes the process's
    /// descriptors until its parent reaps it. The low seven bits are the signal. A reader without permission (for
    /// another user's process, every reader but root) sees zero. After the process is reaped, its pidfd reports the
    /// status (Linux 6.15).
    public static func wasKilled(_ process: Int32, descriptor: Int32?) -> Bool {
        if let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096) {
            return killingSignal(statLine: line) != 0
        }
        var status: Int32 = 0
        guard let descriptor, linux_exit_status(descriptor, &status) == 0 else { return false }
        return status & 0x7F != 0
    }

    /// The signal in a line of `/proc/PID/stat`; zero for none. The program's name may contain blanks and parentheses.
    static func killingSignal(statLine: [UInt8]) -> Int32 {
        guard let nameEnd = statLine.lastIndex(of: UInt8(ascii: ")")) else { return 0 }
        let fields = statLine[(nameEnd + 1)...].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
        // The first field after the name is field 3.
        guard fields.count > 49,
            let status = Int32(String(decoding: fields[fields.startIndex + 49], as: UTF8.self))
        else { return 0 }
        return status & 0x7F
    }
}
