import LockWire
import Testing

/// Checks the documents' statements that a program can check.
@Suite("The protocol's document")
struct ProtocolDocumentTests {
    @Test("The daemon behaves as each transcript shows", arguments: try Document.allTranscripts())
    func transcript(_ transcript: Transcript) throws {
        try TranscriptRun.run(transcript)
    }

    @Test("Every request has a transcript")
    func everyRequest() throws {
        let shown = Set(try Document.protocolPage().transcripts.flatMap(\.verbs))
        for form in Request.forms {
            let verb = String(form.prefix { $0.isLetter })
            #expect(shown.contains(verb), "\(verb) has no transcript")
        }
    }

    @Test(
        "Every error code is in the table once", arguments: ErrorCode.allCases.filter { $0 != .unlisted })
    func errorCodes(code: ErrorCode) throws {
        let lines = try Document.protocolPage().text.split(separator: "\n")
        let rows = lines.filter { $0.hasPrefix("| `\(code.rawValue)` |") }
        #expect(rows.count == 1)
    }
}

@Suite("Transcripts")
struct TranscriptTests {
    private func steps(_ lines: String) throws -> [Transcript.Step] {
        let transcripts = try Transcript.all(in: "text\n```transcript\n\(lines)\n```\ntext", named: "test")
        return try #require(transcripts.first).steps.map(\.step)
    }

    @Test("Each kind of step is parsed")
    func kinds() throws {
        let lines = """
            A> PING
            A>
            B> a\\x00b
            A< PONG
            A< ...
            A< (closed)
            A! ends
            A! is killed
            B! end of input
            daemon! drains
            """
        let expected: [Transcript.Step] = [
            .send("A", "PING"), .send("A", ""), .send("B", "a\\x00b"),
            .receive("A", "PONG"), .skip("A"),
            .closed("A"), .end("A"), .kill("A"), .endInput("B"), .drain,
        ]
        #expect(try steps(lines) == expected)
    }

    @Test(
        "An invalid step is an error, and is not skipped",
        arguments: ["a> PING", "A PING", "A! sleeps", "A<", "", "daemon! dances", "A> \\n", "A> \\x"])
    func malformed(line: String) {
        #expect(throws: MalformedTranscript(place: "test:3", line: line)) { try steps(line) }
    }

    @Test("A byte that is not printable is written as its number")
    func bytes() {
        #expect(Transcript.bytes(of: "a\\x00\\xffb") == [0x61, 0, 0xFF, 0x62])
        #expect(Transcript.bytes(of: "") == [])
        #expect(Transcript.bytes(of: "\\x") == nil)
    }

    @Test("Only marked blocks are transcripts")
    func blocks() throws {
        #expect(try Transcript.all(in: "```\nA> PING\n```\n```sql\nx\n```\n", named: "test").isEmpty)
        #expect(throws: MalformedTranscript.self) {
            try Transcript.all(in: "```transcript\nA> PING", named: "test")
        }
    }

    @Test("Placeholders match their kinds of text, and a numbered one always matches the same number")
    func placeholders() {
        var bindings: Pattern.Bindings = [:]
        func matches(_ pattern: String, _ line: String) -> Bool {
            Pattern(pattern).matches(line, &bindings, processes: ["A": 811, "B": 902])
        }
        #expect(matches("GRANTED jobs read token=<t1>", "GRANTED jobs read token=42"))
        #expect(bindings == ["t1": "42"])
        #expect(!matches("RELEASED jobs token=<t1>", "RELEASED jobs token=43"))
        #expect(!matches("RELEASED jobs token=<t2> ownerdied=1", "RELEASED jobs token=43"))
        #expect(bindings == ["t1": "42"])
        #expect(matches("BUSY a read held-by=<pid A>/write,+<n>", "BUSY a read held-by=811/write,+5"))
        #expect(!matches("BUSY a read held-by=<pid A>/write", "BUSY a read held-by=812/write"))
        #expect(matches("x cycle=<pid B>:a><pid A>:b", "x cycle=902:a>811:b"))
        #expect(matches("<ms> <age> <age> <word> <text>", "5ms 5ms 3s a/b some words"))
        #expect(!matches("<ms>", "5s"))
        #expect(!matches("<text>", ""))
        #expect(!matches("PONG", "PONG "))
        #expect(Pattern.fill("RELEASE jobs token=<t1>", bindings) == "RELEASE jobs token=42")
    }
}
