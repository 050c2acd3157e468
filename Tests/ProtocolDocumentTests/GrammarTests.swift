import LockVocabulary
import LockWire
import Seeded
import Testing
import WireExamples

/// Compares the grammar of protocol.md with the examples and the parser, in both directions.
@Suite("The protocol's grammar")
struct GrammarTests {
    private static let fromClient = Examples.requests.map(\.line)
    private static let fromDaemon =
        Examples.replies.map(\.line) + Examples.rows.map(\.line) + Examples.notices.map(\.line)

    private func grammar() throws -> Grammar { try Grammar(Document.protocolPage().blocks("abnf").joined()) }

    @Test("It accepts every example, and an example uses each of its alternatives")
    func examples() throws {
        let grammar = try grammar()
        for line in Self.fromClient {
            for line in [line, "#t.1 \(line)", "  \(line.replacing(" ", with: "  "))  \r"] {
                #expect(grammar.matches(line + "\n", "from-client"), "\(line)")
            }
        }
        for line in Self.fromDaemon {
            #expect(grammar.matches(line + "\n", "from-daemon", inExactCase: true), "\(line)")
        }
        for reply in Examples.replies {
            #expect(grammar.matches("#t.1 \(reply.line)\n", "from-daemon", inExactCase: true))
        }
        // An option may state its default, although our clients never write it.
        #expect(grammar.matches("WRITE jobs wait=1h lease=2m owner=- note=-\n", "from-client"))
        #expect(grammar.matches("\n", "from-client"))
        #expect(grammar.unused == [])
    }

    @Test(
        "It accepts no line that the parser refuses, and every request that the parser accepts",
        arguments: SeededGenerator.newSeeds)
    func mutants(seed: UInt64) throws {
        let grammar = try grammar()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<5_000 {
            let request = mutant(of: Self.fromClient, &generator)
            let isTaken =
                switch parse(request) {
                case .request: true
                case .fault: false
                }
            #expect(grammar.matches(request + "\n", "from-client") == isTaken, "seed \(seed): \(request)")
            let line = mutant(of: Self.fromDaemon, &generator)
            let isRead = Array(line.utf8).withUnsafeBytes { ServerLine.parse($0) } != nil
            #expect(
                isRead || !grammar.matches(line + "\n", "from-daemon", inExactCase: true),
                "seed \(seed): \(line)")
        }
    }

    /// An example with one byte changed, added or removed.
    ///
    /// The new bytes are neither digits nor A to F, because the grammar states the bounds of numbers and the canonical
    /// encoding of a byte only in comments.
    private func mutant(of lines: [String], _ generator: inout SeededGenerator) -> String {
        while true {
            var bytes = Array((lines.randomElement(using: &generator) ?? "").utf8)
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            let byte = Array("#%*+,-./:=>?GZ_agz|~!\" ".utf8).randomElement(using: &generator) ?? 0
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: bytes[place] = byte
            case 1: bytes.insert(byte, at: place)
            default: bytes.remove(at: place)
            }
            let line = String(decoding: bytes, as: UTF8.self)
            // Skip a lease of 0, which the grammar does not exclude, and an empty line, which is not a request.
            if !line.contains("lease=0"), line.contains(where: { $0 != " " }) { return line }
        }
    }

    private func parse(_ line: String) -> Request.Parsed {
        Array(line.utf8).withUnsafeBytes { Request.parse($0) }
    }

    @Test("A wrong rule is detected")
    func wrongRule() throws {
        let text = try Document.protocolPage().blocks("abnf").joined()
        let name = #"name        = 1*( bare / "%" 2upper-hex )"#
        #expect(text.contains(name))
        let grammar = try Grammar(text.replacing(name, with: #"name = 1*( "!" )"#))
        #expect(!grammar.matches("READ jobs\n", "from-client"))
        #expect(grammar.matches("READ !!\n", "from-client"))
    }

    @Test("A grammar is parsed and matched according to RFC 5234")
    func rules() throws {
        let grammar = try Grammar(
            """
            line  = word *( SP word ) [ tail ]   ; a comment
                  / "Or:" / %s"Else"
            word  = 1*2ALPHA / 2DIGIT "x" / %x2B-2D
            tail  = "!" %x3F
            """)
        for line in ["a", "ab b", "12X a", "+ - ,", "a!?", "oR:", "Else"] {
            #expect(grammar.matches(line, "line"))
        }
        for line in ["", "abc", "1x", "a ", "a!", "!?", "else", "."] {
            #expect(!grammar.matches(line, "line"))
        }
        #expect(grammar.unused == [])
        #expect(throws: Grammar.Malformed.self) { try Grammar("a = ( b") }
        #expect(throws: Grammar.Malformed.self) { try Grammar("a b") }
    }
}
