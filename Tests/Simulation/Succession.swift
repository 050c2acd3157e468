import LockModel
import LockServer
import LockVocabulary
import Seeded
import SlotSupport

/// The death of the serving process, after which another one goes on from the facts (G14). The clients do not notice, and
/// neither does the model.
extension Simulation {
    mutating func succeed() throws {
        guard !referee.model.isDraining else { return }
        count("successions")
        if generator.happens(20) { try dieInCommit() } else { try kept.commit(&server) }
        let next = try successor(from: kept.all)
        try compare(next)
        server = next
        work.succeed()
        try kept.commit(&server)
        try observe()
    }

    /// The process dies before a store of its commit, and the next one within its recovery.
    private mutating func dieInCommit() throws {
        count("kills before a store")
        let left = try kept.commit(&server, killedWith: &generator)
        // Before the first commit there is nothing to go on from.
        if !left.isEmpty { _ = try successor(from: left) }
    }

    /// The process dies after it has carried out some input, and before it commits. What it did is lost, but for its steps on
    /// the slots: the clients see those, and the next process carries out the input again.
    mutating func dieBeforeCommit(_ bytes: [UInt8], from session: SessionID) throws {
        guard !referee.model.isDraining else { return }
        count("kills before a commit")
        try kept.commit(&server)
        let next = try successor(from: kept.all)
        try compare(next)
        bytes.withUnsafeBytes { server.receive($0, from: session, at: now) }
        for _ in 0..<generator.number(0...3) where server.hasUnfinishedWork { server.resumeWork(at: now) }
        server = next
        hasLostBatch = true
        work.succeed()
        try useSlots()
        try kept.commit(&server)
        try observe()
    }

    /// A server that goes on from these facts.
    private func successor(from facts: Kept.Facts) throws -> Server {
        var next = Self.start(
            referee.settings, work.turns, after: Token(rawValue: 0), graceEnd: nil, patience: patience,
            slotStore)
        do {
            try next.restore(facts, at: now)
            for session in next.sessionsWithoutSlots {
                guard let slots = slotStore.slots(of: session) else {
                    throw Violation("a session has no slots")
                }
                next.setSlots(slots.memory, of: session)
            }
            try next.checkInvariants()
        } catch {
            throw Violation("G14: \(error)")
        }
        return next
    }

    /// Compares what can be seen of the two servers.
    private func compare(_ next: borrowing Server) throws {
        let isBusy = server.hasDueWork || next.hasDueWork
        let pairs: [(String, Int, Int)] = [
            ("sessions", server.sessionCount, next.sessionCount), ("locks", server.lockCount, next.lockCount),
            ("bytes kept", server.buffered, next.buffered),
            (
                "deadlines", isBusy ? 0 : Self.nanoseconds(server.nextDueWork),
                isBusy ? 0 : Self.nanoseconds(next.nextDueWork)
            ),
        ]
        for (what, here, there) in pairs where here != there {
            throw Violation("G14: the next server has other \(what): \(there), not \(here)")
        }
        for client in clients {
            let here = server.withOutput(of: client.session) { Array($0) }
            let there = next.withOutput(of: client.session) { Array($0) }
            guard here == there, server.interest(in: client.session) == next.interest(in: client.session)
            else {
                throw Violation(
                    "G14: session \(client.number) has other output: \(there.count), not \(here.count)")
            }
        }
    }

    private static func nanoseconds(_ instant: Instant?) -> Int { Int(instant?.nanoseconds ?? -1) }
}
