public import LockServer
import LockVocabulary
import Systemd

/// All settings of a daemon. `Option` lists the options that set them.
public struct Configuration: Sendable {
    /// The path of the socket; nil for the path that clients try.
    public var socket: String?
    public var socketMode: UInt32?
    /// The group of the socket, by name or number.
    public var socketGroup: String?
    /// A descriptor of a socket that listens already.
    public var listenDescriptor: Int32?
    public var stateDirectory: String?
    /// How long the daemon grants nothing after an unclean end of the daemon before it (G1).
    public var grace = Duration.milliseconds(500)
    /// How long a reader waits behind writers that came after it (G2); nil for as long as they come.
    public var readerPatience: Duration?
    /// How long holders and waiters may go on after TERM or INT.
    public var drain = Duration.seconds(5)
    /// The time without a session after which the daemon ends; nil for no such end.
    public var exitWhenIdle: Duration?
    /// Whether the daemon first becomes independent of the process that starts it.
    var detaches = false
    /// Whether a keeper starts another worker when one is killed (G14).
    var isKept = false
    /// Whether sessions get slots for cached grants, if they ask for them.
    var caches = true
    var logLevel = LogLevel.info
    /// Whether the log says once a day which locks cost most.
    var reportsHotLocks = false
    /// The file of options, which HUP reads again; nil for the default file, which may be missing.
    public var file: String?
    /// The file of rules; nil for the default rules.
    public var rules: String?
    public var limits = ServerConfiguration.Limits()
    /// Of a fleet, if it is in one.
    var cluster = ClusterSettings()
    /// The origins of the values.
    var sources = Sources()

    public init() {}

    static let defaultFile = "/etc/prwlock/prwlockd.conf"

    /// Whether a client started it (protocol.md, "Starting a daemon").
    var isAutoStarted: Bool { listenDescriptor != nil && exitWhenIdle != nil }

    /// The mode of the socket: by default only the user, and the group if one is named, may connect.
    var effectiveSocketMode: UInt32 { socketMode ?? (socketGroup == nil ? 0o600 : 0o660) }
}

/// A fault in options, environment or file, described in one line.
package struct ConfigurationFault: Error, CustomStringConvertible {
    package let description: String
}

/// The act that the command line requests.
public enum Invocation {
    case run(Configuration)
    /// Check options and rules, and do nothing else.
    case check(Configuration)
    /// Make a running daemon read its options and rules again, and wait for the result.
    case reload(process: Int32)
    /// Print a text, and do nothing else.
    case print(String)
    /// Report this fault of the command line.
    case refuse(String)

    /// Reads the file, the environment and the arguments (without the program's name). Each overrides those before it.
    public init(arguments: [String], environment: [String: String]) {
        do throws(ConfigurationFault) {
            self = try Self.read(arguments, environment)
        } catch {
            self = .refuse("\(error) (try --help)")
        }
    }

    private static func read(
        _ arguments: [String], _ environment: [String: String]
    ) throws(ConfigurationFault) -> Invocation {
        var settings: [(Option, String)] = []
        var rest = arguments[...]
        var isChecked = false
        while let argument = rest.popFirst() {
            switch argument {
            case "--help", "-h": return .print(Option.help)
            case "--version": return .print("prwlockd \(Release.version)\n")
            case "--check-config": isChecked = true
            case "--reload": return .reload(process: try Option.process(rest.popFirst()))
            default: settings.append(try Option.parse(argument, &rest))
            }
        }
        let sources = Configuration.Sources(settings: settings, environment: environment)
        var named = Configuration()
        try named.goOver(with: sources)
        var configuration = Configuration()
        do throws(ConfigurationFault) {
            try configuration.read(file: named.file)
        } catch {
            guard !isChecked, let directory = LastGood.directory(named, environment),
                let last = LastGood.read(in: directory)
            else { throw error }
            configuration = Configuration()
            try configuration.read(last.options ?? [], of: "the last good options")
            configuration.sources.fault = error.description
            configuration.sources.last = last
        }
        try configuration.goOver(with: sources)
        return isChecked ? .check(configuration) : .run(configuration)
    }
}
