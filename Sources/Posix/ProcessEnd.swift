import CLinux

/// How a process that ends, or has just ended, came to its end.
public enum ProcessEnd {
    /// Whether a signal ended it; no, if that cannot be seen.
    ///
    /// From before its descriptors are closed until somebody has waited for it, `/proc/PID/stat`, field 52, is its status
    /// as `wait` gives it, whose low seven bits are the signal. Whoever may not look (another user's process, but for
    /// root) is shown zero. Once somebody has waited for it, a descriptor of it tells (Linux 6.15).
    public static func wasKilled(_ process: Int32, descriptor: Int32?) -> Bool {
        if let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096) {
            return killingSignal(statLine: line) != 0
        }
        var status: Int32 = 0
        guard let descriptor, linux_exit_status(descriptor, &status) == 0 else { return false }
        return status & 0x7F != 0
    }

    /// The signal out of a line of `/proc/PID/stat`; zero for none. The program's name may hold blanks and parentheses.
    static func killingSignal(statLine: [UInt8]) -> Int32 {
        guard let nameEnd = statLine.lastIndex(of: UInt8(ascii: ")")) else { return 0 }
        let fields = statLine[(nameEnd + 1)...].split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }
        // The first one after the name is field 3.
        guard fields.count > 49,
            let status = Int32(String(decoding: fields[fields.startIndex + 49], as: UTF8.self))
        else { return 0 }
        return status & 0x7F
    }
}
