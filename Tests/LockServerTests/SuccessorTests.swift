import LockServer
import LockVocabulary
import Testing

/// A server that goes on from the facts of another one (G14).
@Suite struct SuccessorTests {
    /// The facts of a server, by kinds and slots.
    private struct Kept: KeptFacts {
        private var facts: [UInt8: [UInt32: [UInt8]]] = [:]

        mutating func commit(_ server: inout Server) {
            server.forEachChangedFact { facts[$0.kind, default: [:]][$0.slot] = $1.map { Array($0) } }
        }

        func forEachFact<Failure>(
            ofKind kind: UInt8, _ body: (UInt32, UnsafeRawBufferPointer) throws(Failure) -> Void
        ) throws(Failure) {
            for (slot, bytes) in facts[kind] ?? [:] {
                try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
                    try body(slot, UnsafeRawBufferPointer(bytes))
                }
            }
        }
    }

    private static func server() -> Server {
        var configuration = ServerConfiguration()
        configuration.lastToken = Token(rawValue: 1_000)
        var server = Server(configuration)
        server.keepsFacts = true
        return server
    }

    private static func output(of session: SessionID, in server: borrowing Server) -> String {
        server.withOutput(of: session) { String(decoding: $0, as: UTF8.self) }
    }

    @Test(
        "if it is in doubt whether the first reply was sent, it comes again behind a notice, however long it is",
        arguments: [1, 500])
    func firstReplyInDoubt(lines: Int) throws {
        var first = Self.server()
        let opened = first.open(Peer(processID: 1, userID: 0, groupID: 0), at: .zero)
        let session = try #require(opened)
        let text = Array(String(repeating: "WRITE jobs wait=0\nRELEASE jobs\n", count: lines).utf8)
        text.withUnsafeBytes { first.receive($0, from: session, at: .zero) }
        while first.hasUnfinishedWork { first.resumeWork(at: .zero) }
        let replies = Self.output(of: session, in: first)
        var kept = Kept()
        kept.commit(&first)
        // Each process dies in doubt about the same reply.
        for _ in 0..<3 {
            var next = Self.server()
            try next.restore(kept, at: .zero)
            next.restoreSent(0, at: session.slot, inDoubt: replies.utf8.count)
            #expect(Self.output(of: session, in: next) == "! RESUMED from=0\n" + replies)
            kept.commit(&next)
        }
        // The last one sends the notice and some replies.
        var last = Self.server()
        try last.restore(kept, at: .zero)
        let sent = "! RESUMED from=0\nGRANTED jobs write token=1\n"
        last.restoreSent(sent.utf8.count, at: session.slot, inDoubt: 10)
        let rest = replies.drop { $0 != "\n" }.dropFirst()
        #expect(Self.output(of: session, in: last) == "! RESUMED from=27\n" + rest)
    }
}
