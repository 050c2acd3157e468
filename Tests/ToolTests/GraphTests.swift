import Foundation
import FoundationXML
import LockVocabulary
import LockWire
import Testing

@testable import prwlock_tool

/// `prwlock graph`: the graph, what stands out in it, and its forms.
@Suite struct GraphTests {
    private static let hostile = #"</script><b>"'&\ ]]> % `x` #quot; &amp;"#

    private func name(_ text: String) throws -> LockName { try #require(LockName(encoding: text)) }

    private func holder(_ process: Int32?, _ mode: LockMode = .write, for seconds: Int = 60) -> Row {
        .holder(
            Row.Holder(
                processID: process, mode: mode, owner: .session, token: Token(rawValue: 1),
                age: .seconds(seconds),
                leaseLeft: nil, note: .none))
    }

    private func waiter(
        _ process: Int32?, _ mode: LockMode = .write, for seconds: Int = 1, note: Note = .none
    ) -> Row {
        .waiter(
            Row.Waiter(
                processID: process, mode: mode, owner: .session, waited: .seconds(seconds), timeout: .forever,
                note: note))
    }

    private func graph(_ locks: [(String, [Row])], command: String = "work") throws -> WaitGraph {
        var graph = WaitGraph()
        for (lock, rows) in locks {
            var all = WaitGraph.Rows()
            for row in rows { all.add(row) }
            graph.add(try name(lock), all) { process in
                process == nil ? ProcessDescription() : ProcessDescription(user: "ann", command: command)
            }
        }
        return graph
    }

    private func tree(_ graph: WaitGraph, columns: Int? = nil, isUnicode: Bool = true) -> String {
        var tree = GraphTree(
            graph, WaitFindings(of: graph), style: Style(hasColour: false, columns: columns),
            isUnicode: isUnicode)
        return tree.render().text
    }

    /// A chain of three, and a reader beside it.
    private func chain() throws -> WaitGraph {
        try graph([
            ("deploy", [holder(10, for: 300), waiter(20, for: 120), waiter(21, .read, for: 5)]),
            ("mail", [holder(20), waiter(30, for: 2)]),
        ])
    }

    @Test("the tree begins with what stands out, and has each lock below its holder")
    func text() throws {
        #expect(
            tree(try chain()) == """
                3 processes wait for 2 locks
                  blocks most:    10 (ann, work): 3 processes for 2 minutes in all, has deploy (write, for 5 minutes)
                  oldest wait:    2 minutes, by 20 for deploy (write), behind 10 (ann, work)
                  longest chain:  3 processes, behind 10 (ann, work): 20 for deploy, 30 for mail

                10  blocks 3 processes  ann  work
                └ deploy, held (write) for 5 minutes, 2 waiting
                  ├ 20  write, waits 2 minutes ◀ oldest  ann  work
                  │ └ mail, held (write) for 1 minute, 1 waiting
                  │   └ 30  write, waits 2 seconds  ann  work
                  └ 21  read, waits 5 seconds  ann  work

                """)
    }

    @Test("a narrow terminal without UTF-8 gets short lines of ASCII")
    func narrow() throws {
        let text = tree(
            try graph(
                [("deploy", [holder(10), waiter(20), waiter(21, .read)])],
                command: String(repeating: "long ", count: 99)),
            columns: 80, isUnicode: false)
        for line in text.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
        #expect(text.utf8.allSatisfy { $0 < 0x80 })
        // A number behind a dash would look negative.
        #expect(text.contains("+ 20  ") && text.contains("` 21  "))
        #expect(GraphCommand.isUnicode(["LANG": "de_DE.UTF-8"]))
        #expect(!GraphCommand.isUnicode(["LC_ALL": "C", "LANG": "de_DE.UTF-8"]))
    }

    @Test("a request waits for conflicting holders, and behind a writer for all of them (G2)")
    func obstacles() throws {
        let graph = try graph([
            (
                "a",
                [
                    holder(1, .read), holder(2, .update), waiter(3, .update), waiter(4, .write),
                    waiter(5, .read),
                ]
            )
        ])
        let waited = graph.waits.map { wait in
            graph.obstacles(of: wait).map { graph.parties[$0.party].identity }
        }
        #expect(waited == [[.process(2)], [.process(1), .process(2)], [.process(1), .process(2)]])
    }

    @Test("threads of two processes that wait for each other are a circle, which every form shows")
    func circle() throws {
        let graph = try graph([("a", [holder(1), waiter(2)]), ("b", [holder(2), waiter(1)])])
        let findings = WaitFindings(of: graph)
        #expect(findings.blocked.map(\.count) == [1, 1])
        #expect(findings.chainLength == 2)
        let text = tree(graph)
        #expect(text.contains("\na, held") && text.contains("b, held"))
        let picture = GraphPicture(graph, findings)
        #expect(try elements(VectorDrawing(picture).text).filter { $0 == "rect" }.count == 4)
    }

    @Test(
        "of a thousand requests for a lock a drawing shows a few and those that matter, and says how many more wait"
    )
    func large() throws {
        let waiters = (0..<1000).map { waiter(Int32(1000 + $0), for: 5) }
        let graph = try graph([
            ("big", [holder(1, .read), holder(2, .read)] + waiters), ("small", [holder(1999), waiter(3)]),
        ])
        let findings = WaitFindings(of: graph)
        let picture = GraphPicture(graph, findings)
        #expect(picture.boxes.count < 20)
        #expect(picture.boxes.contains { $0.lines == ["+992 more"] })
        #expect(picture.boxes.contains { $0.lines.first == "1999  ann" })
        let text = tree(graph)
        #expect(text.contains("+990 more") && text.contains("1999  write") && text.contains("also held by 2"))
        #expect(text.split(separator: "\n").count < 24)
        #expect(findings.blocked.map(\.count).max() == 1001)
    }

    @Test("the worst is the one behind which others have waited longest, not the one with most behind it")
    func worst() throws {
        let graph = try graph([
            ("slow", [holder(1), waiter(2, for: 60)]), ("quick", [holder(3)] + (4..<20).map { waiter($0) }),
        ])
        let worst = try #require(WaitFindings(of: graph).worst)
        #expect(graph.parties[worst].identity == .process(1))
    }

    @Test("the process that a lock is held for stands for the one that holds it")
    func hold() throws {
        let owner = HoldOwner(process: 700).owner
        let background = Row.Holder(
            processID: 701, mode: .write, owner: owner, token: Token(rawValue: 1), age: .seconds(1),
            leaseLeft: nil,
            note: .none)
        let graph = try graph([("a", [.holder(background), waiter(2)]), ("b", [holder(3), waiter(700)])])
        let findings = WaitFindings(of: graph)
        #expect(findings.chainLength == 3)
        #expect(graph.parties.map(\.identity) == [.process(700), .process(2), .process(3)])
    }

    @Test("a row of an unknown process is a node of its own")
    func unknown() throws {
        let graph = try graph([("a", [holder(nil), waiter(nil)]), ("b", [holder(nil), waiter(7)])])
        #expect(graph.parties.count == 4)
        #expect(WaitFindings(of: graph).chainLength == 2)
    }

    @Test("with nothing that waits each form says so, and stays valid")
    func nothing() throws {
        let graph = WaitGraph()
        let findings = WaitFindings(of: graph)
        #expect(tree(graph) == "nothing waits\n")
        let picture = GraphPicture(graph, findings)
        #expect(picture.dot.contains("nothing waits") && picture.mermaid.contains("nothing waits"))
        #expect(try elements(VectorDrawing(picture).text).contains("text"))
        #expect(GraphPage(graph: graph, findings: findings, caption: "").text.contains("Nothing waits."))
        let json = try JSONSerialization.jsonObject(with: Data(graph.json(findings).encoded.utf8))
        #expect((json as? [String: Any])?["locks"] as? [String] == [])
    }

    @Test(
        "no text of others leaves its place in any form",
        arguments: [
            hostile, "\u{1B}[31m\n\u{0}\u{202E}", String(repeating: "long", count: 63),
            "<\u{301}b>\"\u{301}&\u{301}",
        ])
    func hostileTexts(text: String) throws {
        let graph = try graph(
            [(text, [holder(1), waiter(2, note: try #require(Note(encoding: String(text.prefix(60)))))])],
            command: text)
        let findings = WaitFindings(of: graph)
        let picture = GraphPicture(graph, findings)
        let svg = VectorDrawing(picture, hasLinks: true).text
        #expect(try elements(svg).filter { !Self.drawn.contains($0) } == [])

        // The page is well-formed XML but for its first line and the elements without an end.
        var page = GraphPage(graph: graph, findings: findings, caption: text, nonce: "n").text
        for word in ["<!DOCTYPE html>", "<br>"] { page = page.replacing(word, with: "") }
        page = page.replacing(/<meta[^>]*>/, with: "").replacing(
            /<script.*<\/script>/.dotMatchesNewlines(), with: "")
        page = page.replacing(" hidden>", with: ">")
        #expect(try elements(page).filter { $0 == "b" || $0 == "script" } == [])

        let shown = Harmless.show(text)
        #expect(picture.dot.unicodeScalars.filter { $0 != "\n" }.allSatisfy { !Harmless.isHarmful($0) })
        for line in picture.dot.split(separator: "\n") {
            // Without its escapes a line has an even number of quotes.
            #expect(
                line.replacing("\\\\", with: "").replacing("\\\"", with: "").unicodeScalars.count {
                    $0 == "\""
                } % 2 == 0)
        }
        let words = GraphEscapes.mermaid([text]).dropFirst().dropLast()
        #expect(
            words.unicodeScalars.allSatisfy {
                $0.properties.isAlphabetic || " #;0123456789".unicodeScalars.contains($0)
            })
        let json =
            try JSONSerialization.jsonObject(with: Data(graph.json(findings).encoded.utf8)) as? [String: Any]
        let locks = try #require(json?["locks"] as? [[String: Any]])
        #expect(locks.first?["name"] as? String == text)
        #expect(tree(graph).contains(String(shown.prefix(20))))
    }

    @Test("the page runs no script but its own, and loads nothing")
    func policy() throws {
        let graph = try chain()
        let page = GraphPage(graph: graph, findings: WaitFindings(of: graph), caption: "", nonce: "abc").text
        #expect(page.contains("default-src 'none'; style-src 'nonce-abc'; script-src 'nonce-abc'"))
        #expect(
            page.matches(of: /<(?:script|style)[^>]*>/).allSatisfy { $0.output.contains("nonce=\"abc\"") })
        #expect(!page.contains(#/ style=| on[a-z]+=/#))
        #expect(page.matches(of: /https?:[^"]*/).allSatisfy { $0.output == "http://www.w3.org/2000/svg" })
        // Each link leads to an element of the page.
        for link in page.matches(of: /href="#([^"]*)"/) { #expect(page.contains(" id=\"\(link.output.1)\"")) }
        let other = GraphPage(graph: graph, findings: WaitFindings(of: graph), caption: "").nonce
        #expect(other != GraphPage(graph: graph, findings: WaitFindings(of: graph), caption: "").nonce)
    }

    private static let drawn: Set<String> = [
        "svg", "style", "defs", "marker", "path", "text", "g", "title", "rect", "a",
    ]

    /// The names of all elements of a text that must be well-formed XML.
    private func elements(_ text: String) throws -> [String] {
        final class Reader: NSObject, XMLParserDelegate {
            var names: [String] = []
            func parser(
                _ parser: XMLParser, didStartElement element: String, namespaceURI: String?,
                qualifiedName: String?,
                attributes: [String: String]
            ) {
                names.append(element)
            }
        }
        let reader = Reader()
        let parser = XMLParser(data: Data(text.utf8))
        parser.delegate = reader
        #expect(parser.parse(), "\(parser.parserError.map { "\($0)" } ?? "") in \(text)")
        return reader.names
    }
}
