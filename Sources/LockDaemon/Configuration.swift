public import LockServer
import LockVocabulary
import Systemd

/// Everything that can be said to a daemon before it starts; `Option` says how.
public struct Configuration: Sendable {
    /// The path of the socket to make; nil for where clients look.
    public var socket: String?
    public var socketMode: UInt32?
    /// The group that the socket belongs to, by name or number.
    public var socketGroup: String?
    /// A descriptor that listens already.
    public var listenDescriptor: Int32?
    public var stateDirectory: String?
    /// How long nothing is granted after the daemon before ended without a word (G1).
    public var grace = Duration.milliseconds(500)
    /// How long those who hold and wait may go on when the daemon is to end.
    public var drain = Duration.seconds(5)
    /// After how long without a session it ends by itself; nil for never.
    public var exitWhenIdle: Duration?
    /// Whether it leaves whoever started it before it does anything else.
    var detaches = false
    var logLevel = LogLevel.info
    /// What is read anew on HUP; nil for the default one, which need not be there.
    public var file: String?
    /// The file that says who may do what; nil for the default rules.
    public var rules: String?
    public var limits = ServerConfiguration.Limits()
    /// Where the values came from.
    var sources = Sources()

    public init() {}

    static let defaultFile = "/etc/prwlock/prwlockd.conf"

    /// Whether a client started it (protocol.md, "Starting a daemon").
    var isAutoStarted: Bool { listenDescriptor != nil && exitWhenIdle != nil }

    /// The mode of the socket: for the user alone, or for the group that was named as well.
    var effectiveSocketMode: UInt32 { socketMode ?? (socketGroup == nil ? 0o600 : 0o660) }
}

/// What cannot be understood in options, environment or file, in one line.
package struct ConfigurationFault: Error, CustomStringConvertible {
    package let description: String
}

/// What the command line asks for.
public enum Invocation {
    case run(Configuration)
    /// Say whether options and rules have a fault, and do nothing else.
    case check(Configuration)
    /// Have a daemon read its options and rules again, and wait until it has.
    case reload(process: Int32)
    /// A text to print, and nothing else to do.
    case print(String)
    /// The command line is wrong in the way that the text says.
    case refuse(String)

    /// Reads the file, the environment and the arguments (without the program's name); each goes over those before it.
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
