import CBench
import Glibc

/// A process that makes pairs of an acquire and a release, as `CPeers.h` says. It ends with this object.
final class Participant {
    /// What a participant says before its first order.
    enum Beginning: Equatable {
        /// It can be measured; with the version of what it uses, which may be empty.
        case ready(version: String)
        /// It lacks something, which the text says how to install.
        case missing(String)
    }

    /// What came of one order.
    struct Count: Equatable {
        var pairs = 0
        var nanoseconds = 0
    }

    let beginning: Beginning
    let process: pid_t
    private let socket: Int32
    private let log: String

    /// Starts the program, and returns when it is ready.
    init(_ command: [String], environment: [String], log: String, patience: Duration = .seconds(40)) throws {
        var socket: Int32 = -1
        process = withCStrings(command) { arguments in
            withCStrings(environment) { bench_spawn_participant(arguments[0], arguments, $0, log, &socket) }
        }
        if process < 0 { throw Failure("start \(command[0])", errno: -process) }
        (self.socket, self.log) = (socket, log)
        do {
            beginning = try Self.beginning(Self.line(socket, by: .now() + patience, log: log))
        } catch {
            Self.end(process, socket)
            throw error
        }
    }

    deinit { Self.end(process, socket) }

    /// Orders pairs of one kind for a time.
    func begin(_ scenario: PeerScenario, at begin: Duration, for length: Duration) throws {
        let order = "go \(scenario.rawValue) \(begin.nanoseconds) \(length.nanoseconds)\n"
        try check(bench_send(socket, order), "order to a participant")
    }

    /// Reads what came of the order, which is late after the deadline.
    func outcome(by deadline: Duration) throws -> Count {
        let line = try Self.line(socket, by: deadline, log: log)
        guard let count = Count(line) else { throw Failure(Self.complaint(line, log: log)) }
        return count
    }

    private static func end(_ process: pid_t, _ socket: Int32) {
        close(socket)
        // It may wait for a lock, and need not end by itself.
        bench_end(process, Duration.milliseconds(200).nanoseconds)
    }

    private static func beginning(_ line: String) throws -> Beginning {
        if line == "ready" || line.hasPrefix("ready ") { return .ready(version: String(line.dropFirst(6))) }
        if line.hasPrefix("missing ") { return .missing(String(line.dropFirst(8))) }
        throw Failure(line)
    }

    private static func line(_ socket: Int32, by deadline: Duration, log: String) throws -> String {
        var line = [CChar](repeating: 0, count: 512)
        switch bench_read_line_until(socket, &line, line.count, deadline.nanoseconds) {
        case 0: return text(line)
        case ETIMEDOUT: throw Failure(complaint("it does not answer", log: log))
        default: throw Failure(complaint("it has ended", log: log))
        }
    }

    /// The complaint, with the last line that the participant printed.
    private static func complaint(_ text: String, log: String) -> String {
        let printed = contents(of: log).split(separator: "\n").last.map { ": \($0)" } ?? ""
        return text + printed
    }
}

extension Participant.Count {
    /// Reads `did COUNT ELAPSED`.
    init?(_ line: String) {
        let words = line.split(separator: " ")
        guard words.count == 3, words[0] == "did", let pairs = Int(words[1]), let time = Int(words[2]) else {
            return nil
        }
        self.init(pairs: pairs, nanoseconds: time)
    }

    static func + (one: Self, other: Self) -> Self {
        Self(pairs: one.pairs + other.pairs, nanoseconds: one.nanoseconds + other.nanoseconds)
    }

    /// The time of one pair; infinite if there was none.
    var timeEach: Double { pairs == 0 ? .infinity : Double(nanoseconds) / Double(pairs) }
}
