import CLinux
import Glibc

/// A hard limit of this process under which a daemon cannot serve.
///
/// A daemon inherits the hard limits of the process that starts it, and cannot raise them. A limit of CPU time would have
/// the kernel kill it after that time, with every lock of the user. So a client that has such a limit starts no daemon.
public struct LowLimit: Sendable {
    /// What is limited, in words.
    let subject: String
    /// The letter by which `ulimit` knows it.
    let letter: Character
    /// The limit, in `unit`.
    let value: UInt64
    /// What a daemon needs, in `unit`; nil if it serves with no limit at all.
    let least: UInt64?
    let unit: String

    private struct Need {
        let resource: Int32
        let subject: String
        let letter: Character
        /// Nil if any limit is too low.
        let least: UInt64?
        /// How much of what the kernel counts is one of what people count.
        var scale: UInt64 = 1
        var unit = ""
    }

    /// The same for every client (protocol.md, "Starting a daemon").
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

    /// The first hard limit of this process that is too low; nil if a daemon can serve under them.
    static func find() -> LowLimit? { find(hardLimit: hardLimit(of:)) }

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

    /// The limit of processes, where it has kept this process from starting one.
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
    public var description: String {
        let limit = "hard limit of \(subject), \(value)\(unit) (`ulimit -H -\(letter)`)"
        return least.map { "\(limit), where it needs \($0)\(unit)" } ?? limit
    }
}
