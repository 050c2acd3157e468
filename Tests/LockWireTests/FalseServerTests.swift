import LockVocabulary
import Testing
import WireExamples

@testable import LockWire

@Suite("A line of a false server") struct FalseServerTests {
    private static let evil = Examples.harmful

    private func isHarmless(_ text: String) -> Bool { Harmless.show(text) == text }

    @Test("gives a program no text that harms a terminal")
    func texts() throws {
        var texts = 0
        for line in [
            "ERROR limit-grants x\(Self.evil)", "ERROR new-code x\(Self.evil)", "ERROR x\(Self.evil) x",
            "DENIED jobs x\(Self.evil) reason=x\(Self.evil)",
            "HELLO version=1 server=x\(Self.evil) session=1", "* x\(Self.evil) 5", "* x\(Self.evil)",
        ] {
            let parsed = Array(line.utf8).withUnsafeBytes { ServerLine.parse($0) }
            for text in strings(in: try #require(parsed, "\(line.prefix(20))")) {
                #expect(isHarmless(text), "\(line.prefix(20))")
                texts += text.contains("\\x1B") ? 1 : 0
            }
        }
        #expect(texts == 8)
    }

    @Test("gives a program no name, note, owner, tag or word with other bytes than the protocol's")
    func words() {
        for line in [
            "#x\(Self.evil) PONG", "GRANTED x\(Self.evil) write token=1",
            "GRANTED jobs x\(Self.evil) token=1",
            "RELEASED x\(Self.evil) token=1", "BUSY jobs write held-by=x\(Self.evil)",
            "DEADLOCK jobs write cycle=1/x\(Self.evil):jobs", "DEADLOCK jobs write cycle=1:x\(Self.evil)",
            "! REVOKED x\(Self.evil) token=1", "* lock x\(Self.evil) mode=- holders=1 waiters=0 ownerdied=0",
            "* holder pid=1 mode=read owner=x\(Self.evil) token=1 age=1s lease=- note=-",
            "* holder pid=1 mode=read owner=- token=1 age=1s lease=- note=x\(Self.evil)",
        ] {
            guard let parsed = Array(line.utf8).withUnsafeBytes({ ServerLine.parse($0) }) else { continue }
            for text in strings(in: parsed) { #expect(isHarmless(text), "\(line.prefix(20))") }
        }
    }

    /// Every text in a value, at any depth.
    private func strings(in value: Any) -> [String] {
        if let text = value as? String { return [text] }
        return Mirror(reflecting: value).children.flatMap { strings(in: $0.value) }
    }
}
