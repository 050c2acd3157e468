import CLinux
import Glibc

/// A hard limit of this process that is too low for a daemon.
///
/// A daemon inherits the hard limits of the process that starts it, and cannot raise them. With a limit on CPU time the
/// kernel would kill the daemon after that time, and every lock of the user with it. So a client with such a limit
/// starts no daemon.
public struct LowLimit: Hashable, Sendable {
    /// The name of the limited resource, for messages.
    let subject: String
    /// The letter of the `ulimit` option for this limit.
    let letter: Character
    /// The limit, in `unit`.
    let value: UInt64
    /// What a daemon needs, in `unit`; nil if any limit at all is too low.
    let least: UInt64?
    let unit: String

    private struct Need {
        let resource: Int32
        let subject: String
        let letter: Character
        /// Nil if any limit is too low.
        let least: UInt64?
        /// How many of the kernel's units make one `unit`.
        var scale: UInt64 = 1
        var unit = ""
    }

    /// Every client uses the same table (protocol.md, "Starting a daemon").
    private static let needs = [
        Need(
            resource: Int32(RLIMIT_CPU.rawValue), subject: "CPU time", letter: "t", least: nil, unit: " s"),
        Need(
            resource: Int32(RLIMIT_NOFILE.rawValue), subject: "open descriptors", letter: "n", least: 256),
        Need(
            resource: Int32(RLIMIT_AS.rawValue), subject: "address space", letter: "v", least: 512 << 20,
            scale: 1 << 10, unit: " KiB"),
        Need(
            resource: Int32(RLIMIT_DATA.rawValue), subject: "data memory", letter: "d", least: 256 << 20,
            scale: 1 << 10, unit: " KiB"),
        Need(
            resource: Int32(RLIMIT_STACK.rawValue), subject: "stack", letter: "s", least: 256 << 10,
            scale: 1 << 10, unit: " KiB"),
        Need(
            resource: Int32(RLIMIT_FSIZE.rawValue), subject: "file size", letter: "f", least: 1 << 20,
            scale: 1 << 10, unit: " KiB"),
    ]

    /// The first hard limit of this process that is too low, or nil if a daemon can serve under all of them.
    package static func find() -> LowLimit? { find(hardLimit: hardLimit(of:)) }

    static func find(hardLimit: (Int32) -> UInt64) -> LowLimit? {
        for need in needs {
            let hard = hardLimit(need.resource)
            guard hard != .max, need.least.map({ hard < $0 }) ?? true else { continue }
            return LowLimit(
                subject: need.subject, letter: need.letter, value: hard / need.scale,
                least: need.least.map { $0 / need.scale }, unit: need.unit)
        }
        return nil
    }

    /// The limit on processes. Use it only after `EAGAIN` has shown that this limit prevented a start.
    static func ofProcesses() -> LowLimit {
        LowLimit(
            subject: "processes", letter: "u", value: hardLimit(of: Int32(__RLIMIT_NPROC.rawValue)),
            least: nil,
            unit: "")
    }

    private static func hardLimit(of resource: Int32) -> UInt64 {
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        return linux_limit(resource, &soft, &hard) == 0 ? hard : .max
    }
}

extension LowLimit: CustomStringConvertible {
    /// The limit, and what a daemon needs.
    public var description: String {
        let limit = "hard limit of \(subject), \(value)\(unit) (`ulimit -H -\(letter)`)"
        return least.map { "\(limit), where it needs \($0)\(unit)" } ?? limit
    }
}
