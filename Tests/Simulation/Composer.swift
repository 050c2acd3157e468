import LockModel
import LockVocabulary
import Seeded

/// Draws what clients send: commands on few locks by few owners, looks at them, and junk.
struct Composer {
    static let locks = ["a", "b", "c/1", "c/2"]
    /// The limit for a line, in bytes with its LF.
    static let lineLimit = 300

    private let mix: CommandMix
    private var said = 0

    /// - Parameter extra: a lock that is requested less often.
    init(extra: String? = nil) {
        let extra = extra.map { [$0] } ?? []
        mix = CommandMix(locks: extra.isEmpty ? Self.locks : Self.locks + Self.locks + extra)
    }

    /// A line with a tag of its own.
    mutating func line(_ meaning: Line.Meaning, _ text: String) -> Line {
        said += 1
        return Line(id: said, tag: Model.tag(of: said), meaning, text)
    }

    /// The number of a request that is no line.
    mutating func number() -> Int {
        said += 1
        return said
    }

    /// Draws the next line of a client; `others` are grants of any client.
    mutating func line(
        for client: Client, others: [(lock: String, token: Token)], _ generator: inout SeededGenerator
    ) -> Line {
        said += 1
        let tag = Model.tag(of: said)
        switch generator.number(0...99) {
        case ..<80:
            let command = mix.command(
                held: client.grants, others: others, tags: client.open, &generator)
            return Line(id: said, tag: tag, .command(command), command.text(by: client.userID))
        case ..<83:
            let lock = generator.pick(Self.locks)
            let limit = generator.pick(["", "", " limit=1", " limit=2"])
            return Line(id: said, tag: tag, .status(lock), "STATUS \(lock)\(limit)")
        case ..<86:
            let text = generator.pick([
                "LIST", "LIST c/ limit=1", "LIST by=waiters", "LIST c/ by=waited limit=1", "HOT",
                "HOT c/ by=longest limit=1", "SESSIONS", "STATS", "HELP",
            ])
            return Line(id: said, tag: tag, .list, text)
        case ..<88: return Line(id: said, tag: tag, .watch, generator.pick(["WATCH", "WATCH c/"]))
        case ..<89: return Line(id: said, tag: tag, .hello, "HELLO client=of-\(client.userID)")
        case ..<90: return Line(id: said, tag: tag, .quit, "QUIT")
        case ..<92:
            // The request with this tag may still wait.
            return Line(id: said, tag: client.open.isEmpty ? tag : generator.pick(client.open), .ping, "PING")
        case ..<93:
            // The longest line that is allowed.
            let length = Self.lineLimit - "#\(tag) PING\n".utf8.count
            return Line(id: said, tag: tag, .ping, "PING" + String(repeating: " ", count: length))
        case ..<97: return junk(tag, &generator)
        default: return Line(id: said, tag: tag, .ping, "PING")
        }
    }

    private func junk(_ tag: String, _ generator: inout SeededGenerator) -> Line {
        switch generator.number(0...5) {
        case 0:
            // Any bytes at all, but for the line's end.
            let bytes = (0..<generator.number(1...40)).map { _ in UInt8(generator.number(11...255)) }
            return Line(id: said, junk: [1] + bytes, code: "bad-byte")
        case 1:
            let length = Self.lineLimit + generator.number(0...Self.lineLimit * 2)
            let rest = Array(repeating: UInt8(ascii: "x"), count: length)
            guard generator.happens(50) else { return Line(id: said, junk: rest, code: "line-too-long") }
            return Line(id: said, tag: tag, junk: Array("#\(tag) ".utf8) + rest, code: "line-too-long")
        case 2: return Line(id: said, tag: tag, .junk(code: "unknown-verb"), "LOCK a")
        case 3: return Line(id: said, tag: tag, .junk(code: "bad-name"), "READ a%41")
        case 4: return Line(id: said, tag: tag, .junk(code: "bad-duration"), "WRITE a wait=5")
        default: return Line(id: said, tag: tag, .junk(code: nil), "READ a wait=1s wait=1s colour=red")
        }
    }
}
