import LockWire
import Testing
import WireExamples

/// Compares the documents with the examples: a new request, reply or notice must be in each of these documents.
@Suite("The examples in the documents")
struct ExampleTests {
    private let verbs = Set(Examples.requests.map { $0.line.prefix { $0 != " " } })

    @Test("protocol.md has every request and every notice in a table")
    func tables() throws {
        let rows = try Document.protocolPage().text.split(separator: "\n").filter { $0.hasPrefix("| ") }
        for verb in verbs { #expect(rows.contains { $0.contains("`\(verb)`") }, "\(verb)") }
        for notice in Examples.notices {
            let words = notice.line.split(separator: " ").prefix(2).joined(separator: " ")
            #expect(rows.contains { $0.hasPrefix("| `\(words)") }, "\(words)")
        }
    }

    @Test("The manual page has every request with its options, every reply and every notice")
    func manual() throws {
        let page = try Document.text("Sources/manual/prwlock-protocol.7").split(separator: "\n")
        let items = page.filter { $0.hasPrefix(".It ") }.map { $0.split { " =".contains($0) } }
        for form in Request.forms {
            let words = form.split { " []|,".contains($0) }
            guard let verb = words.first else { continue }
            let keys = words.filter { $0.contains("=") }.map { $0.prefix { $0 != "=" } }
            let item = items.filter { $0.contains(verb) }.flatMap(\.self)
            #expect(Set(keys).isSubset(of: item), "\(form)")
            #expect(!item.isEmpty, "\(form)")
        }
        let replies = items.flatMap(\.self)
        for reply in Examples.replies {
            guard let word = reply.line.split(separator: " ").first else { continue }
            let isThere = replies.contains(word) || page.contains { $0.hasPrefix(".Li \(word)") }
            #expect(isThere, "\(word)")
        }
        for notice in Examples.notices {
            let word = notice.line.split(separator: " ")[1]
            #expect(
                page.contains { $0.hasPrefix(".Li ") && $0.split { " ,".contains($0) }.contains(word) },
                "\(word)")
        }
    }

    @Test("The fuzzers' words contain every example")
    func fuzzers() throws {
        let words = try Document.text("Tests/fuzz/words").split(separator: "\n").filter { $0.hasPrefix("\"") }
        #expect(words.map { String($0.dropFirst().dropLast()) } == Examples.dictionary)
    }
}
