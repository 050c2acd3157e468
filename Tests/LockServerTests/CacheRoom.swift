import LockCore
import LockServer
import LockVocabulary
import SlotSupport
import Testing

/// A room with a server that gives slots, and the steps of its clients on them.
final class CacheRoom {
    let room: Room
    private let made: Made
    /// The slots of cached grants, by their tokens.
    private var places: [Int: (letter: Character, index: Int, isRead: Bool)] = [:]

    /// The memory of all slots; the server keeps it as well.
    private final class Made {
        var slots: [SessionID: ClientSlots] = [:]
    }

    init(_ change: (inout ServerConfiguration) -> Void = { _ in }) {
        room = Room(change)
        made = Made()
        room.server.slotMaker = { [made] session in
            let slots = ClientSlots()
            made.slots[session] = slots
            return slots.memory
        }
    }

    func play(_ transcript: String, sourceLocation: SourceLocation = #_sourceLocation) {
        room.play(transcript, sourceLocation: sourceLocation)
    }

    func slots(of letter: Character) -> ClientSlots? { made.slots[room.session(letter)] }

    /// Has a client ask for slots. Returns how many the reply promises.
    @discardableResult
    func ask(_ letter: Character) -> Int? {
        Self.number("slots", in: room.send(letter, "HELLO cache=1\n").first ?? "")
    }

    /// Requests a lock twice, so that it is cached if that can be. Returns the last reply.
    func request(_ letter: Character, _ request: String) -> String {
        if !room.has(letter) || slots(of: letter) == nil { ask(letter) }
        let words = request.split(separator: " ")
        let owner = words.first { $0.hasPrefix("owner=") }.map { " " + $0 } ?? ""
        room.send(letter, "\(request)\nRELEASE \(words[1])\(owner)\n")
        return room.send(letter, "\(request)\n").first ?? ""
    }

    /// Requests a lock twice, and expects a cached grant, which is held. Returns its token.
    func cache(
        _ letter: Character, _ request: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Int {
        let reply = self.request(letter, request)
        let index = try #require(Self.number("slot", in: reply), "\(reply)", sourceLocation: sourceLocation)
        let token = try #require(Self.number("token", in: reply), sourceLocation: sourceLocation)
        #expect(Self.number("gen", in: reply) == token, sourceLocation: sourceLocation)
        places[token] = (letter, index, request.hasPrefix("READ"))
        return token
    }

    /// The same, and then the client gives up the lock.
    func cacheIdle(
        _ letter: Character, _ request: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Int {
        let token = try cache(letter, request, sourceLocation: sourceLocation)
        #expect(leave(token), sourceLocation: sourceLocation)
        return token
    }

    /// A client takes the lock under its cached grant.
    func enter(_ token: Int) -> Bool {
        guard let place = places[token], let slots = slots(of: place.letter) else { return false }
        return slots.enter(place.index, UInt64(token), isRead: place.isRead)
    }

    func leave(_ token: Int) -> Bool {
        guard let place = places[token], let slots = slots(of: place.letter) else { return false }
        return slots.leave(place.index, UInt64(token))
    }

    func status(_ letter: Character, _ lock: String) -> [String] {
        room.send(letter, "STATUS \(lock)\n").dropLast().map { row in
            row.split(separator: " ").prefix(4).joined(separator: " ")
        }
    }

    static func number(_ key: String, in line: String) -> Int? {
        line.split(separator: " ").first { $0.hasPrefix(key + "=") }.flatMap {
            Int($0.dropFirst(key.count + 1))
        }
    }
}
