/// The importance of an entry. The numbers are those of syslog and of the journal's `PRIORITY`.
public enum LogLevel: Int, Sendable, CaseIterable {
    case error = 3
    case warning = 4
    case notice = 5
    case info = 6
    case debug = 7

    /// The level with this name, as in `--log-level`.
    public init?(_ word: String) {
        guard let level = Self.allCases.first(where: { $0.description == word }) else { return nil }
        self = level
    }
}

extension LogLevel: Comparable {
    /// More important levels are less: an entry is written if its level is at most the configured one.
    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

extension LogLevel: CustomStringConvertible {
    public var description: String {
        switch self {
        case .error: "error"
        case .warning: "warning"
        case .notice: "notice"
        case .info: "info"
        case .debug: "debug"
        }
    }
}
