import LockModel
import LockVocabulary
import Seeded

/// What a hostile account does: one event that causes work for many requests, grants, lines or rows.
enum Attack: String, CaseIterable {
    /// Many lines and then the end of the input; nothing is read.
    case lines
    /// Processes that exit with replies that they have not read.
    case exits
    /// Many leases that end in the same millisecond.
    case leases
    /// Many requests that time out in the same millisecond.
    case timeouts
    /// The holder of many grants dies.
    case deadHolder = "dead holder"
    /// Many readers are let in at once.
    case readers
    /// Many holders are told of each new request.
    case recalls
    /// A chain of owners, and many requests that search it, with and without a circle.
    case chain
    /// Connections without a pause.
    case connects
    /// Names that make the tree of names deep.
    case deepNames = "deep names"
    /// Lists of many rows.
    case lists

    /// The account: no other client has this user id.
    static let userID: UInt32 = 1_002
    /// How many sessions it may have.
    static let sessions = 6
    /// The lock that others request too.
    static let lock = "x/0"

    /// A line that the account sends.
    struct Saying {
        let meaning: Line.Meaning
        let text: String

        static func command(_ command: Command) -> Saying {
            Saying(meaning: .command(command), text: command.text(by: Attack.userID))
        }

        static func list(_ text: String) -> Saying { Saying(meaning: .list, text: text) }

        static func ask(
            _ lock: String = Attack.lock, _ mode: LockMode = .read, _ owner: String = "-",
            wait: TimeLimit = .forever, lease: Duration? = nil
        ) -> Saying {
            .command(.acquire(lock, mode, owner: owner, wait: wait, lease: lease))
        }
    }

    /// A step of an attack; a number is that of one of the account's sessions.
    enum Act {
        case connect(Int)
        /// Sends lines and reads the replies, until all lines are carried out. No time passes.
        case say(Int, [Saying])
        /// Sends lines and reads nothing.
        case send(Int, [Saying])
        /// Counts the attack if it has reached its size.
        case strike(size: Int)
        case endInput(Int)
        case pass(Duration)
        case idle
        /// All processes of the account die.
        case die
    }

    /// The steps of an attack of this size.
    func acts(size: Int) -> [Act] {
        let numbers = Array(0..<size)
        func owner(_ number: Int) -> String { "o\(number)" }
        switch self {
        case .lines:
            let lines = numbers.map { Saying.list($0.isMultiple(of: 3) ? "STATS" : "LIST x/ limit=1") }
            return [.connect(1), .send(0, lines), .strike(size: size / 2), .endInput(0), .idle, .idle, .die]
        case .exits:
            let lines = numbers.map { _ in Saying.list("STATS") }
            return [
                .connect(3), .send(0, lines), .send(1, lines), .send(2, lines), .strike(size: size / 2), .die,
            ]
        case .leases:
            let lines = numbers.map { Saying.ask("x/l/\($0)", lease: .milliseconds(30)) }
            return [.connect(1), .say(0, lines), .strike(size: size), .pass(.milliseconds(30)), .idle, .die]
        case .timeouts:
            let lines = numbers.map {
                Saying.ask(Self.lock, .write, owner($0), wait: .upTo(.milliseconds(20)))
            }
            return [
                .connect(2), .say(0, [.ask(Self.lock, .write)]), .say(1, lines), .strike(size: size),
                .pass(.milliseconds(20)), .idle, .die,
            ]
        case .deadHolder:
            let lines = numbers.map { Saying.ask("x/h/\($0)", $0.isMultiple(of: 2) ? .read : .write) }
            return [.connect(1), .say(0, lines), .strike(size: size), .die]
        case .readers:
            let lines = numbers.map { Saying.ask(Self.lock, .read, owner($0)) }
            return [
                .connect(2), .say(0, [.ask(Self.lock, .write)]), .say(1, lines), .strike(size: size),
                .say(0, [.command(.release(Self.lock, .only))]), .idle, .die,
            ]
        case .recalls:
            let holders = numbers.map { Saying.ask(Self.lock, .read, owner($0)) }
            let asking = Saying.ask(Self.lock, .write, "w", wait: .upTo(.milliseconds(20)))
            return [
                .connect(2), .say(0, [.command(.setRecall(true))]), .say(0, holders), .strike(size: size),
                .say(1, [asking, .command(.cancel(Self.lock, owner: nil)), asking]), .idle, .die,
            ]
        case .chain: return chain(numbers.map { ("x/c/\($0)", owner($0)) })
        case .connects: return [.connect(2 * Self.sessions), .strike(size: 1), .idle, .die]
        case .deepNames:
            let names = numbers.map { "x/" + String(repeating: "a", count: $0 + 1) }
            return [
                .connect(1), .say(0, names.map { .ask($0) }), .strike(size: size),
                .say(0, names.map { .command(.renew($0, .only, .forever)) }), .idle, .die,
            ]
        case .lists:
            let held = numbers.map { Saying.ask("x/r/\($0)") } + [.ask()]
            let lists = [
                Saying.list("LIST"), Saying(meaning: .status(Self.lock), text: "STATUS \(Self.lock)"),
            ]
            return [
                .connect(2), .say(0, held), .strike(size: size), .send(1, lists), .idle, .say(1, lists),
                .send(1, lists + [.list("SESSIONS")]), .die,
            ]
        }
    }

    /// Each owner holds a lock and waits for that of the next; then the last owner asks for locks of another session, which
    /// closes no circle, and for the first lock, which does.
    private func chain(_ links: [(lock: String, owner: String)]) -> [Act] {
        let held = links.map { Saying.ask($0.lock, .write, $0.owner) }
        let waiting = zip(links, links.dropFirst()).map { Saying.ask($1.lock, .write, $0.owner) }
        let free = (0..<4).map { "x/f/\($0)" }
        let last = links.last?.owner ?? "-"
        let searches =
            free.map { Saying.ask($0, .write, last, wait: .upTo(.milliseconds(20))) }
            + links.prefix(3).map { Saying.ask($0.lock, .read, last) }
        return [
            .connect(2), .say(0, held), .say(1, free.map { .ask($0, .write) }), .say(0, waiting),
            .strike(size: 2 * links.count - 1), .say(0, searches), .send(0, searches), .endInput(0), .idle,
            .die,
        ]
    }
}
