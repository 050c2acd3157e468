import LockServer
import LockVocabulary
import Seeded

/// Compares what the server did and sent in a step with the model.
extension Simulation {
    /// Compares what the server did and sent since the last call with the model.
    mutating func observe() throws {
        try follow()
        try useSlots()
        // The daemon continues work after other sessions' turns; here it may continue at once.
        while server.hasUnfinishedWork, generator.happens(80) {
            let now = now
            try call(.resume) { $0.resumeWork(at: now) }
            try follow()
            try useSlots()
        }
        for index in clients.indices { try listen(index) }
        try referee.checkNotices(received: &received, ended: ended, hasDueWork: server.hasDueWork)
        if !server.hasDueWork { ended = [] }
    }

    /// Has the model do what the server did, in the same order.
    private mutating func follow() throws {
        let steps = server.carriedOut ?? []
        server.carriedOut = []
        for (place, one) in steps.enumerated() {
            switch one {
            case .line(let session):
                guard let index = client(session), let line = clients[index].said.first else {
                    throw Violation("a line was carried out that no client sent")
                }
                clients[index].said.removeFirst()
                referee.asks(line, Int(session.serial))
                var limit: Bool?
                if case .limited(let isLate)? = steps.dropFirst(place + 1).first { limit = isLate }
                try referee.carryOut(line, of: index, limitedLate: limit, &clients)
            case .decision(let session, let tag): referee.decided(Int(session.serial), tag.text)
            case .limited: break
            case .withdrawal(let session):
                forgetUndecided(of: session)
                referee.drop(Int(session.serial), &clients)
            case .end(let session):
                forgetUndecided(of: session)
                ended.insert(Int(session.serial))
                if let index = client(session) { clients[index].isEnded = true }
                referee.end(Int(session.serial), &clients)
            }
        }
    }

    /// A request that could be granted and is not yet gets no answer if its session ends.
    private mutating func forgetUndecided(of session: SessionID) {
        guard let index = client(session) else { return }
        clients[index].owed.removeAll { !$0.isListing && referee.isUndecided($0.id) }
    }

    func client(_ session: SessionID) -> Int? { clients.firstIndex { $0.session == session } }

    /// Reads the server's pending output for a client, even if the client does not read.
    mutating func listen(_ index: Int) throws {
        let seen = clients[index].seen
        let new = server.withOutput(of: clients[index].session) { Array($0.dropFirst(seen)) }
        guard !new.isEmpty else { return }
        clients[index].seen += new.count
        clients[index].partial += new
        trace.add(now, clients[index].session, "receives", new)
        let bytes = clients[index].partial
        var start = 0
        for (place, byte) in bytes.enumerated() where byte == 10 {
            try hear(String(decoding: bytes[start..<place], as: UTF8.self), index)
            start = place + 1
        }
        clients[index].partial = Array(bytes[start...])
    }

    mutating func hear(_ line: String, _ index: Int) throws {
        var words = line.split(separator: " ", omittingEmptySubsequences: false)
        let number = clients[index].number
        switch words.first?.first {
        case "*":
            clients[index].rows += 1
            if words.count > 1, words[1] == "cached" { count("rows of cached grants") }
            guard clients[index].owed.contains(where: \.isListing) else {
                throw Violation("session \(number) receives a row of no list: \(line)")
            }
            return try checkRow(words, clients[index].userID)
        case "!":
            if ["EXPIRED", "REVOKED", "RECALL"].contains(words.dropFirst().first ?? "") {
                received.append((number, String(words[1]), Self.token(words) ?? Token(rawValue: 0)))
            }
            if words.count > 2, words[1] == "CHANGED",
                !["watch", "look"].allSatisfy({
                    referee.settings.rules.may($0, String(words[2]), clients[index].userID)
                })
            {
                throw Violation("session \(number) may not watch that: \(line)")
            }
            return
        default: break
        }
        let tag = words.first?.first == "#" ? String(words.removeFirst().dropFirst()) : nil
        let rows = clients[index].rows
        let place = clients[index].owed.firstIndex { $0.tag == tag && $0.accepts(words, rows: rows) }
        guard let place else {
            if clients[index].isEnded, words.starts(with: ["ERROR", "limit-buffers"]) {
                return count("cut off")
            }
            let owed = clients[index].owed.map { "#\($0.tag ?? "") \($0.kind)" }
            throw Violation("session \(number) receives '\(line)', owed \(owed); \(referee.model.state)")
        }
        let expectation = clients[index].owed.remove(at: place)
        count(words.prefix(words.first == "ERROR" ? 2 : 1).joined(separator: " "))
        if expectation.isListing { clients[index].rows = 0 }
        if words.first == "DEADLOCK", let asked = expectation.asked,
            let circle = words.last?.dropFirst("cycle=".count)
        {
            try referee.checkCircle(circle, asked)
        }
        try hearSlots(words, expectation.id, Self.token(words), index)
        if words.first == "GRANTED", let token = Self.token(words) {
            clients[index].grants = clients[index].grants.suffix(5) + [(String(words[1]), token)]
            if let id = expectation.id { try referee.granted(id, token) }
        }
    }

    private static func token(_ words: [Substring]) -> Token? {
        words.first { $0.hasPrefix("token=") }.flatMap { UInt64($0.dropFirst(6)) }.map(Token.init)
    }

    /// Throws if a row shows the user what the rules hide from it.
    private mutating func checkRow(_ words: [Substring], _ user: UInt32) throws {
        if words.count > 2, words[1] == "lock", !referee.settings.rules.may("look", String(words[2]), user) {
            throw Violation("user \(user) may not look at \(words[2])")
        }
        for word in words where word.hasPrefix("note=of-") || word.hasPrefix("client=of-") {
            let writer = UInt32(word.split(separator: "-").last ?? "")
            count(writer == user ? "own notes" : "others' notes")
            if writer != user, !referee.settings.rules.maySeeSomeNotes(user) {
                throw Violation("user \(user) receives \(word)")
            }
        }
    }
}
