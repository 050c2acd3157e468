import LockCore
import LockServer
import LockVocabulary
import Systemd

/// One thing that can be said to the daemon: as an option, in the environment, or in its file.
///
/// Help, manual and all three ways of saying it come from the one table in `all`.
struct Option: Sendable {
    /// As on the command line, without the dashes; the same in the file.
    let name: String
    /// What stands for its value in the help.
    let value: String
    /// What it is when it is named without a value; nil if it needs one.
    var bare: String?
    let help: String
    /// Whether a reload changes it.
    var isReloaded = false
    let set: @Sendable (inout Configuration, String) throws -> Void
    /// The value as it would be spelled; empty for none.
    let show: @Sendable (Configuration) -> String

    /// Its name in the environment: `PRWLOCKD_MAX_LOCKS` for `max-locks`.
    var variable: String {
        // Byte by byte, as each start computes all of them.
        let letters = name.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "-"): UInt8(ascii: "_")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + UInt8(ascii: "A")
            default: byte
            }
        }
        return "PRWLOCKD_" + String(decoding: letters, as: UTF8.self)
    }

    static func named(_ name: some StringProtocol) -> Option? { all.first { $0.name == name } }

    static let all: [Option] =
        [
            Option(
                name: "socket", value: "PATH", help: "where to listen (default: where clients look)",
                set: { $0.socket = try path($1) }, show: { $0.socket ?? "" }),
            Option(
                name: "socket-mode", value: "MODE",
                help: "mode of the socket, octal (default: 0600, or 0660 with --socket-group)",
                set: { $0.socketMode = try mode($1) },
                show: { $0.socketMode.map { "0" + String($0, radix: 8) } ?? "" }),
            Option(
                name: "socket-group", value: "GROUP", help: "group that may connect, by name or number",
                set: { $0.socketGroup = try word($1) }, show: { $0.socketGroup ?? "" }),
            Option(
                name: "listen-fd", value: "NUMBER", help: "serve this descriptor, which listens already",
                set: { $0.listenDescriptor = try Int32(number($1, 0...Int(Int32.max))) },
                show: { $0.listenDescriptor.map(String.init) ?? "" }),
            Option(
                name: "state-directory", value: "PATH",
                help:
                    "where the tokens' high-water mark is kept (default: $STATE_DIRECTORY, or a folder for this socket in "
                    + "$XDG_STATE_HOME/prwlock or ~/.local/state/prwlock; a user's own daemon: below the home that the "
                    + "system's table of users names)",
                set: { $0.stateDirectory = try path($1) }, show: { $0.stateDirectory ?? "" }),
            Option(
                name: "grace", value: "DURATION",
                help: "how long nothing is granted after the daemon before has crashed or was killed",
                set: { $0.grace = try duration($1) }, show: { spelling($0.grace) }),
            Option(
                name: "reader-patience", value: "DURATION",
                help:
                    "how long a reader waits behind writers that came after it; then it goes before them, and 0 is the order "
                    + "of arrival (default: forever)",
                set: { $0.readerPatience = $1 == "forever" ? nil : try duration($1) },
                show: { $0.readerPatience.map(spelling) ?? "" }),
            Option(
                name: "drain", value: "DURATION",
                help: "how long holders and waiters may go on after TERM or INT",
                set: { $0.drain = try duration($1) }, show: { spelling($0.drain) }),
            Option(
                name: "exit-when-idle", value: "DURATION", bare: "60s",
                help: "end after so long without a session (60s, if no duration is named; default: never)",
                set: { $0.exitWhenIdle = try duration($1) }, show: { $0.exitWhenIdle.map(spelling) ?? "" }),
            Option(
                name: "detach", value: "BOOL", bare: "yes",
                help: "go on in the background, without a parent; for clients that cannot fork (yes or no)",
                set: { $0.detaches = try flag($1) }, show: { $0.detaches ? "yes" : "no" }),
            Option(
                name: "keep", value: "BOOL", bare: "yes",
                help:
                    "serve in a process of its own, and start another one if that is killed: it goes on with all sessions, locks "
                    + "and requests (yes or no)",
                set: { $0.isKept = try flag($1) }, show: { $0.isKept ? "yes" : "no" }),
            Option(
                name: "cache", value: "BOOL", bare: "yes",
                help:
                    "let grants stay with clients that ask for it, after the release and until another request wants the lock "
                    + "(yes or no)",
                set: { $0.caches = try flag($1) }, show: { $0.caches ? "yes" : "no" }),
            Option(
                name: "log-level", value: "LEVEL",
                help: "error, warning, notice, info or debug: say what matters so much or more",
                isReloaded: true, set: { $0.logLevel = try level($1) }, show: { "\($0.logLevel)" }),
            Option(
                name: "hot-report", value: "WHEN",
                help: "say once a day in the log which ten locks cost most (daily or off)",
                isReloaded: true, set: { $0.reportsHotLocks = try daily($1) },
                show: { $0.reportsHotLocks ? "daily" : "off" }),
            Option(
                name: "config", value: "FILE",
                help:
                    "file of `name = value` lines, with these names (default: \(Configuration.defaultFile), if it is there); "
                    + "read again on HUP",
                set: { $0.file = try path($1) }, show: { $0.file ?? "" }),
            Option(
                name: "rules", value: "FILE",
                help:
                    "who may do what, how much, and in which order locks are to be taken (prwlockd(8), RULES); none for the default; "
                    + "read again on HUP, and refused whole if it has a fault",
                isReloaded: true, set: { $0.rules = $1.isEmpty || $1 == "none" ? nil : try path($1) },
                show: { $0.rules ?? "" }),
            limit("max-sessions", \.rules.sessions, most: 1 << 24 - 1, "sessions at once"),
            limit("max-session-grants", \.rules.sessionGrants, "grants of one session"),
            limit("max-session-waiters", \.rules.sessionWaiters, "waiting requests of one session"),
            limit("max-locks", \.rules.locks, "locks that are held, waited for or marked"),
            limit("max-grants", \.rules.grants, "grants of all sessions"),
            limit("max-waiters", \.rules.waiters, "waiting requests of all sessions"),
            // Every request fits into the smallest.
            limit("max-line", \.line, least: 1_024, "bytes in a line"),
            limit("max-unread", \.unread, "unread bytes of replies before a session is no longer read from"),
            limit("max-unread-hard", \.unreadAtMost, "unread bytes of replies before a session is cut off"),
            limit("max-buffers", \.buffers, "bytes kept for all sessions together"),
            limit("max-marks", \.rules.marks, "locks that remember that their writer died"),
        ] + cluster

    private static func limit(
        _ name: String, _ path: any WritableKeyPath<ServerConfiguration.Limits, Int> & Sendable,
        least: Int = 1,
        most: Int = Int(UInt32.max) - 1, _ help: String
    ) -> Option {
        Option(
            name: name, value: "NUMBER", help: "at most so many " + help, isReloaded: true,
            set: { $0.limits[keyPath: path] = try number($1, least...most) },
            show: { String($0.limits[keyPath: path]) })
    }

    // MARK: - The command line

    /// The option and its value that an argument, and if need be the one after it, spell.
    static func parse(
        _ argument: String, _ rest: inout ArraySlice<String>
    ) throws(ConfigurationFault) -> (Option, String) {
        guard argument.hasPrefix("--") else {
            throw ConfigurationFault(description: "unexpected argument \(argument)")
        }
        let parts = argument.dropFirst(2).split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 1, let name = parts.first, name.hasPrefix("no-"),
            let option = named(name.dropFirst(3)), option.bare == "yes"
        {
            return (option, "no")
        }
        guard let name = parts.first, let option = named(name) else {
            throw ConfigurationFault(
                description: "unknown option \(parts.first.map { "--" + $0 } ?? argument)")
        }
        if let value = parts.dropFirst().first { return (option, String(value)) }
        // One that may stand bare takes its value after `=` only: else it would swallow the next option.
        if let bare = option.bare { return (option, bare) }
        guard let value = rest.popFirst() else {
            throw ConfigurationFault(description: "--\(name) needs a value")
        }
        return (option, value)
    }

    static var help: String {
        let defaults = Configuration()
        var text = """
            Usage: prwlockd [OPTION]...

            Owns reader-writer locks for the processes of this host. Clients speak lines of text
            over a Unix socket; what a client holds is free as soon as it dies.

            """
        for option in all {
            let shown = option.show(defaults)
            let head =
                option.bare == nil ? "--\(option.name) \(option.value)" : "--\(option.name)[=\(option.value)]"
            text += "\n  \(head)\n"
            text += "      \(option.help)\(shown.isEmpty ? "" : " (default: \(shown))")\n"
        }
        text += """

              --check-config
                  say where options and rules have a fault, with line and column, and end; status 0 if nowhere
              --reload PID
                  have that daemon read its options and rules again, and wait; status 64, and nothing has changed,
                  if they have a fault
              --help
                  print this and end
              --version
                  print the version and end

            Each option can also be set in the environment, as PRWLOCKD_MAX_LOCKS for --max-locks,
            and in the file, as `max-locks = 1000`. The command line goes over the environment, and that over
            the file. TERM and INT end the daemon; HUP has it read limits, rules and log level again. With
            --keep, the process `prwlock-keeper` takes these, USR2 (become the program that is now on disk;
            see `prwlock upgrade`) and QUIT (kill the process that serves, and end).

            """
        return text
    }
}
