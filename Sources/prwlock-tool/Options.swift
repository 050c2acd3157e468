import ArgumentParser
import LockVocabulary
import LockWire
import PRWLock
import Posix
import Rendezvous

/// The option for the daemon's socket.
struct DaemonOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The lock daemon's socket; PRWLOCK_SOCKET without it.", valueName: "path"),
        completion: .file())
    var socket: ByteString?

    func validate() throws {
        if let socket, socket.text == nil {
            throw ValidationError("--socket: the path '\(socket.shown)' is not UTF-8")
        }
    }

    var choice: DaemonChoice { DaemonChoice(path: socket?.text) }
}

/// The option for the format of the output.
struct ShowOptions: ParsableArguments {
    @Flag(help: "Print JSON, for programs.")
    var json = false

    var style: Style { .standardOutput(environment: Surroundings.current().environment) }
}

struct TokenArgument: ExpressibleByArgument {
    let token: Token

    init?(argument: String) {
        guard argument.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = UInt64(argument), number > 0
        else { return nil }
        token = Token(rawValue: number)
    }
}

/// The mode, by the letters of `flock(1)` and the words of this program. As in `flock(1)`, the last one counts.
enum ModeFlag: EnumerableFlag {
    case read, write, update

    static func name(for value: ModeFlag) -> NameSpecification {
        switch value {
        case .read: [.customShort("s"), .customLong("shared"), .customLong("read")]
        case .write:
            [.customShort("x"), .customShort("e"), .customLong("exclusive"), .customLong("write")]
        case .update: [.customLong("update")]
        }
    }

    static func help(for value: ModeFlag) -> ArgumentHelp? {
        switch value {
        case .read: "Lock for reading: any number of readers together."
        case .write: "Lock for writing: alone."
        case .update: "Lock for reading together with readers, but with no other updater or writer."
        }
    }

    var mode: LockMode {
        switch self {
        case .read: .read
        case .write: .write
        case .update: .update
        }
    }
}

/// The options for the request, shared by `run` and `hold`.
struct LockOptions: ParsableArguments {
    @Flag(exclusivity: .chooseLast)
    var mode = ModeFlag.write

    @Flag(
        name: [.customShort("n"), .customLong("nb"), .customLong("nonblock"), .customLong("nonblocking")],
        help: "Fail rather than wait.")
    var nonblock = false

    @Option(
        name: [
            .customShort("w", allowingJoined: true), .customLong("wait"), .customLong("timeout"),
        ],
        help: ArgumentHelp(
            "Fail if the lock is not granted in so many seconds; also 250ms, 2m, 1h.", valueName: "seconds"))
    var wait: Seconds?

    @Option(
        name: [.customShort("E", allowingJoined: true), .customLong("conflict-exit-code")],
        help: ArgumentHelp(
            "The exit code when the lock is held by others, with -n or -w.", valueName: "number"))
    var conflictExitCode: UInt8 = 1

    @Option(
        help: ArgumentHelp(
            "The grant ends by itself if it is not renewed in time; it is renewed while it is needed.",
            valueName: "seconds"))
    var lease: Seconds?

    @Option(help: ArgumentHelp("A note that the lock's status shows.", valueName: "text"))
    var note: ByteString?

    @Flag(help: "Say how long it took to get the lock, or why it was not to be had.")
    var verbose = false

    @Flag(name: [.customShort("u"), .customLong("unlock")], help: .hidden)
    var unlock = false

    func validate() throws {
        if unlock {
            throw ValidationError("-u unlocks a descriptor in flock(1); here it is `prwlock release NAME`")
        }
        if let lease, lease.duration < .milliseconds(1) {
            throw ValidationError("--lease must be at least 1ms")
        }
        if let note, Note(encoding: note.bytes) == nil {
            throw ValidationError("--note is longer than 255 bytes")
        }
    }

    var terms: LockTerms {
        LockTerms(
            mode: mode.mode, wait: nonblock ? .upTo(.zero) : wait.map { .upTo($0.duration) } ?? .forever,
            conflictExitCode: conflictExitCode, lease: lease.map { .upTo($0.duration) } ?? .forever,
            note: note.flatMap { Note(encoding: $0.bytes) } ?? .none, verbose: verbose)
    }
}
