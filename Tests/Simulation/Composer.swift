import LockVocabulary
import Seeded

/// Makes up what clients say: few locks and owners, so that they meet all the time.
struct Composer {
    static let locks = ["a", "b", "c/1", "c/2"]
    private static let owners = ["-", "-", "-", "t1", "t2"]
    /// How long a line may be here, in bytes with its LF.
    static let lineLimit = 300

    private var said = 0

    mutating func line(for client: Client, _ generator: inout SeededGenerator) -> Line {
        said += 1
        let tag = "r\(said)"
        let lock = generator.pick(Self.locks)
        let known = client.grants.isEmpty ? nil : generator.pick(client.grants)
        let held = known?.lock ?? lock
        let (choice, chosen) = choice(known, &generator)
        switch generator.number(0...99) {
        case ..<40: return acquire(tag, lock, client, &generator)
        case ..<58:
            return Line(
                id: said, tag: tag, .release(held, choice, atEnd: false), "RELEASE \(held)\(chosen)")
        case ..<59:
            return Line(
                id: said, tag: tag, .release(held, choice, atEnd: true), "RELEASE \(held)\(chosen) at=end")
        case ..<60:
            let owner = generator.pick(Self.owners)
            return Line(id: said, tag: tag, .releaseAll(owner: owner), "RELEASE * owner=\(owner)")
        case ..<67:
            let (wait, text) = wait(&generator)
            return Line(
                id: said, tag: tag, .upgrade(held, choice, wait: wait), "upgrade \(held)\(text)\(chosen)")
        case ..<71:
            let mode = generator.pick([LockMode.read, .update])
            return Line(
                id: said, tag: tag, .downgrade(held, choice, to: mode),
                "DOWNGRADE \(held)\(chosen) to=\(mode)")
        case ..<74:
            let lease = generator.pick([nil, TimeLimit.forever, .upTo(.milliseconds(50))])
            let text = lease.map { $0 == .forever ? " lease=forever" : " lease=50ms" } ?? ""
            return Line(id: said, tag: tag, .renew(held, choice, lease), "RENEW \(held)\(text)\(chosen)")
        case ..<76:
            let owner = generator.happens(50) ? generator.pick(Self.owners) : nil
            let text = owner.map { " owner=\($0)" } ?? ""
            return Line(id: said, tag: tag, .cancel(lock, owner: owner), "CANCEL \(lock)\(text)")
        case ..<78:
            let other = client.open.isEmpty ? "r\(said)x" : generator.pick(client.open)
            return Line(id: said, tag: tag, .cancelTagged(other), "CANCEL #\(other)")
        case ..<80:
            let token = known?.token ?? .max
            return Line(id: said, tag: tag, .validate(held, token), "VALIDATE \(held) token=\(token)")
        case ..<81:
            let token = known?.token ?? .max
            return Line(id: said, tag: tag, .revoke(held, token), "REVOKE \(held) token=\(token)")
        case ..<86:
            if generator.happens(30) { return Line(id: said, tag: tag, .status(lock), "STATUS \(lock)") }
            let text = generator.pick([
                "LIST", "LIST c/ limit=1", "SESSIONS", "STATS", "HELP",
            ])
            return Line(id: said, tag: tag, .list, text)
        case ..<87:
            let prefix = generator.pick(["", " c/"])
            return Line(id: said, tag: tag, .watch, "WATCH\(prefix)")
        case ..<89:
            let recall = generator.pick([true, true, false, nil])
            let text = recall.map { " recall=\($0 ? 1 : 0)" } ?? ""
            return Line(
                id: said, tag: tag, .hello(recall: recall), "HELLO\(text) client=of-\(client.userID)")
        case ..<90: return Line(id: said, tag: tag, .quit, "QUIT")
        case ..<92:
            // A tag that is perhaps still open.
            return Line(id: said, tag: client.open.isEmpty ? tag : generator.pick(client.open), .ping, "PING")
        case ..<96: return junk(tag, &generator)
        default: return Line(id: said, tag: tag, .ping, "PING")
        }
    }

    private func acquire(
        _ tag: String, _ lock: String, _ client: Client, _ generator: inout SeededGenerator
    ) -> Line {
        let mode = generator.pick([LockMode.read, .read, .update, .write])
        let owner = generator.pick(Self.owners)
        let (wait, text) = wait(&generator)
        let lease: Duration? = generator.happens(20) ? .milliseconds(30) : nil
        let rest = "\(owner == "-" ? "" : " owner=\(owner)")\(lease == nil ? "" : " lease=30ms")\(text)"
        return Line(
            id: said, tag: tag, .acquire(lock, mode, owner: owner, wait: wait, lease: lease),
            "\(mode) \(lock)\(rest) note=of-\(client.userID)")
    }

    private func wait(_ generator: inout SeededGenerator) -> (TimeLimit, String) {
        switch generator.number(0...4) {
        case 0: (.upTo(.zero), " wait=0")
        case 1: (.upTo(.milliseconds(20)), " wait=20ms")
        case 2: (.upTo(.seconds(5)), "  wait=5s")
        default: (.forever, "")
        }
    }

    private func choice(
        _ known: (lock: String, token: UInt64)?, _ generator: inout SeededGenerator
    ) -> (Line.Choice, String) {
        switch generator.number(0...4) {
        case 0: return (Line.Choice(), "")
        case 1:
            let owner = generator.pick(Self.owners)
            return (Line.Choice(owner: owner), " owner=\(owner)")
        default:
            guard let token = known?.token else { return (Line.Choice(), "") }
            return (Line.Choice(token: token), " token=\(token)")
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
