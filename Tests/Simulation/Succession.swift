import LockModel
import LockServer
import LockVocabulary

/// The facts that the server would have in its ledger.
struct Kept {
    private(set) var facts: [KeptKey: [UInt8]] = [:]

    /// Takes the facts that have changed.
    mutating func commit(_ server: inout Server) {
        server.forEachChangedFact { key, bytes in facts[key] = bytes.map { Array($0) } }
    }
}

extension Kept: KeptFacts {
    func forEachFact<Failure>(
        ofKind kind: UInt8, _ body: (UInt32, UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        for (key, bytes) in facts where key.kind == kind {
            try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
                try body(key.slot, UnsafeRawBufferPointer(bytes))
            }
        }
    }
}

/// The death of the serving process, after which another one goes on from the facts (G14). The clients do not notice, and
/// neither does the model.
extension Simulation {
    mutating func succeed() throws {
        guard !referee.model.isDraining else { return }
        count("successions")
        var kept = kept
        kept.commit(&server)
        var next = Self.start(
            referee.settings, work.turns, after: Token(rawValue: 0), graceEnd: nil, patience: patience)
        do {
            try next.restore(kept, at: now)
        } catch {
            throw Violation("G14: \(error)")
        }
        try compare(next)
        server = next
        work.succeed()
        kept.commit(&server)
        self.kept = kept
        try observe()
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
