import Glibc
import LockWire
import Posix
import Seeded
import Testing

@testable import PRWLock

/// What a client takes of the lines that come after `! RESUMED` (G14).
@Suite struct ReceivedBytesTests {
    /// A client that has got the answer to `PING`, and the socket of its daemon.
    private struct Wire: ~Copyable {
        private var receiver = LineReceiver()
        private let client: Int32
        private let daemon: Int32

        init() throws { (client, daemon) = try UnixSocket.pair().split { ($0.release(), $1.release()) } }

        deinit {
            close(client)
            close(daemon)
        }

        /// The lines that the client takes when these bytes come.
        mutating func take(_ text: String) throws -> [String] {
            var bytes = Array(text.utf8)
            try bytes.send(to: daemon)
            return try receiver.receive(from: client).map { line in
                var bytes: [UInt8] = []
                switch line {
                case .reply(let tag, let reply): reply.encode(tag: tag, into: &bytes)
                case .row(let row): row.encode(into: &bytes)
                case .notice(let notice): notice.encode(into: &bytes)
                }
                return String(decoding: bytes.dropLast(), as: UTF8.self)
            }
        }
    }

    @Test("bytes that came before are passed over") func repeated() throws {
        var wire = try Wire()
        #expect(try wire.take("#1 PONG\n! MISSED 3\n* a 1\n") == ["#1 PONG", "! MISSED 3", "* a 1"])
        let rest = try wire.take("! RESUMED from=13\n! MISSED 3\n* a 1\n* a 1\n#2 END 2\n")
        #expect(rest == ["* a 1", "#2 END 2"])
    }

    @Test("lines that did not go out are taken, also if they equal the lines before") func new() throws {
        var wire = try Wire()
        #expect(try wire.take("* a 1\n* a 1\n") == ["* a 1", "* a 1"])
        #expect(try wire.take("! RESUMED from=17\n* a 1\n* a 1\n") == ["* a 1", "* a 1"])
    }

    @Test("bytes are passed over in pieces of any size") func pieces() throws {
        var wire = try Wire()
        var taken = try wire.take("#1 PONG\n#2 PONG\n")
        for character in "! RESUMED from=5\n#1 PONG\n#2 PONG\n#3 PONG\n" {
            taken += try wire.take(String(character))
        }
        #expect(taken == ["#1 PONG", "#2 PONG", "#3 PONG"])
    }

    @Test("a notice that comes while bytes are passed over goes back from there") func again() throws {
        var wire = try Wire()
        _ = try wire.take("#1 PONG\n#2 PONG\n#3 PONG\n! RESUMED from=5\n#1 PONG\n")
        #expect(try wire.take("! RESUMED from=13\n#2 PONG\n#3 PONG\n#4 PONG\n") == ["#4 PONG"])
    }

    @Test("lines of a later protocol count") func unknownLines() throws {
        var wire = try Wire()
        #expect(try wire.take("! NEWS of=today\n#1 PONG\n") == ["#1 PONG"])
        #expect(try wire.take("! RESUMED from=21 later=word\n#1 PONG\n#2 PONG\n") == ["#2 PONG"])
    }

    @Test("each line is taken once, however often the daemon dies", arguments: 0..<50)
    func manyDeaths(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        // All lines have the same size, and many are equal.
        let lines = (0..<40).map { "#\($0 % 3) PONG\n" }
        var wire = try Wire()
        var taken: [String] = []
        var sent = 0
        while sent < lines.count {
            let size = min(random.number(1...5), lines.count - sent)
            if random.happens(60) { taken += try wire.take(lines[sent..<(sent + size)].joined()) }
            taken += try wire.take("! RESUMED from=\(5 + 8 * sent)\n")
            // The next daemon has time to send some of it again.
            let rest = random.number(0...size)
            taken += try wire.take(lines[sent..<(sent + rest)].joined())
            sent += rest
        }
        #expect(taken.map { $0 + "\n" } == lines)
    }
}
