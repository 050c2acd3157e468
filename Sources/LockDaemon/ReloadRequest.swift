import Glibc
import LockVocabulary
import Posix
import Rendezvous

/// The act of `prwlockd --reload PID`: it makes a daemon read its options and rules again, and waits for the result.
///
/// A signal has no answer, so `kill -HUP` succeeds even if the files have a fault. This has an answer:
///
/// 1. It reads the files with the options and the environment of that daemon. If they have a fault, it sends nothing.
/// 2. It reads from the daemon's socket how often the daemon has read its files (`STATS`), and sends `SIGHUP`.
/// 3. It repeats `STATS` until the daemon has read them once more. If the daemon refused them, they changed after step 1.
///
/// The daemon counts a reading only if no later request waits. So a reading that began before the signal does not count as
/// the answer, unless it ends in the 20 to 50 µs in which the signal reaches the daemon's main queue: then this reports the
/// result of that reading, and the daemon reads once more.
struct ReloadRequest: ~Copyable {
    private let process: Int32
    private let connection: OwnedDescriptor
    private var received: [UInt8] = []

    /// The time that a daemon may take to read: it may query a directory service for every name.
    private static let patience = Duration.seconds(60)
    private static let pause: UInt32 = 5_000

    private struct Counts {
        var all: Int
        var refused: Int
    }

    /// Carries out all steps, or throws the reason why the settings did not change.
    static func make(of process: Int32) throws(Departure) {
        let configuration = try configuration(of: process)
        var request = try ReloadRequest(process, configuration)
        try request.carryOut()
    }

    /// The configuration that the daemon would read.
    private static func configuration(of process: Int32) throws(Departure) -> Configuration {
        guard let name = words("comm", of: process)?.first, ["prwlockd\n", "prwlock-keeper\n"].contains(name)
        else {
            throw Departure(.usage, "process \(process) is no prwlockd")
        }
        let arguments = words("cmdline", of: process) ?? []
        var environment: [String: String] = [:]
        for variable in words("environ", of: process) ?? [] {
            guard let sign = variable.firstIndex(of: "=") else { continue }
            environment[String(variable[..<sign])] = String(variable[variable.index(after: sign)...])
        }
        let checking = Array(arguments.dropFirst()) + ["--check-config"]
        let surroundings = Surroundings.current()
        switch Invocation(arguments: checking, environment: environment) {
        case .refuse(let reason): throw Departure(.usage, reason)
        case .check(let configuration):
            let facts = RuleFile.facts(servesOneUser: configuration.wouldServeOneUser(in: surroundings))
            do throws(ConfigurationFault) {
                _ = try RuleFile.read(configuration.rules, facts)
            } catch {
                throw Departure(.usage, "\(error)")
            }
            return configuration
        case .run, .print, .reload: throw Departure(.usage, "process \(process) serves no locks")
        }
    }

    /// The texts between the zero bytes of a file of `/proc`.
    private static func words(_ file: String, of process: Int32) -> [String]? {
        (try? FileContents.read("/proc/\(process)/\(file)")).map {
            $0.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        }
    }

    private init(_ process: Int32, _ configuration: Configuration) throws(Departure) {
        let surroundings = Surroundings.current()
        let places =
            if let socket = configuration.socket { [socket] } else {
                SocketLocation.userOwn(in: surroundings).map(\.path) + [
                    SocketLocation.find(in: surroundings).path
                ]
            }
        var fault: SystemError?
        for place in places {
            do throws(SystemError) {
                let connection = try UnixSocket.connect(to: place, by: Deadline(after: Self.patience))
                // Another daemon may listen at one of the places.
                let server = try PeerCredentials(of: connection).processID
                // The process is the one that serves, or its keeper, which passes the signal on.
                guard server == process || Ancestors.parent(of: server) == process else { continue }
                self.connection = connection
                self.process = process
                return
            } catch {
                fault = error
            }
        }
        throw Departure(
            .cannotListen,
            "nothing was sent to process \(process): its socket cannot be reached to wait for the answer"
                + (fault.map { " (\($0))" } ?? ""))
    }

    private mutating func carryOut() throws(Departure) {
        let before = try counts()
        guard kill(process, SIGHUP) == 0 else {
            throw Departure(.usage, "\(SystemError.last("kill", "process \(process)"))")
        }
        let end = Deadline(after: Self.patience)
        while !end.isOver {
            let counts = try counts()
            guard counts.all == before.all else {
                guard counts.refused == before.refused else {
                    throw Departure(
                        .usage, "process \(process) refused its options or rules; its log says why")
                }
                return
            }
            usleep(Self.pause)
        }
        throw Departure(
            .usage, "process \(process) has not read its options and rules within \(Self.patience)")
    }

    /// The numbers of times that the daemon has read its files, and refused them.
    private mutating func counts() throws(Departure) -> Counts {
        let request = "STATS\n"
        guard send(connection.rawValue, request, request.utf8.count, Int32(MSG_NOSIGNAL)) > 0 else {
            throw ended
        }
        var counts = Counts(all: 0, refused: 0)
        while let line = nextLine() {
            let words = line.split(separator: " ")
            switch words.first {
            case "*":
                guard words.count == 3, let value = Int(words[2]) else { continue }
                if words[1] == "total-reloads" { counts.all = value }
                if words[1] == "total-refused-reloads" { counts.refused = value }
            case "END": return counts
            case "ERROR", "DENIED": throw Departure(.usage, "process \(process) answered: \(line)")
            default: continue
            }
        }
        throw ended
    }

    private var ended: Departure {
        Departure(.usage, "process \(process) ended while it was asked to read its options and rules again")
    }

    /// The next line of the answer; nil at the end.
    private mutating func nextLine() -> String? {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeFirst(end + 1) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            var bytes = [UInt8](repeating: 0, count: 4_096)
            let count = recv(connection.rawValue, &bytes, bytes.count, 0)
            guard count > 0 else { return nil }
            received += bytes[..<count]
        }
    }
}

extension Daemon {
    /// Makes another daemon read its options and rules again, and ends the process with the result as its status.
    public static func reload(process: Int32) -> Never {
        do throws(Departure) {
            try ReloadRequest.make(of: process)
        } catch {
            end(error)
        }
        exit(Departure.Status.done.rawValue)
    }
}
