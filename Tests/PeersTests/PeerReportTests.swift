import Foundation
import Testing

@testable import prwlock_bench

@Suite("What peers prints and draws")
struct PeerReportTests {
    private static func peer(_ id: String) throws -> Peer {
        try #require(Peer.all.first { $0.id == id })
    }

    private static func cell(_ runs: Double...) -> PeerResult.Cell {
        PeerResult.Cell(runs: runs, slowest: runs)
    }

    private static func results() throws -> [PeerResult] {
        [
            PeerResult(
                peer: try peer("c-cached"), state: .measured(version: ""),
                cells: [.alone: cell(7, 5, 6), .readers: cell(5), .turns: cell(30_000), .mixed: cell(1_000)]),
            PeerResult(
                peer: try peer("filelock"), state: .measured(version: "4.3"),
                cells: [
                    .alone: cell(200_000), .readers: cell(250_000), .turns: cell(.infinity),
                    .mixed: cell(1e9),
                ]),
            PeerResult(peer: try peer("fasteners"), state: .missing("pip install fasteners"), cells: [:]),
            PeerResult(peer: try peer("etcd"), state: .failed("2 < 3 & it ended"), cells: [:]),
        ]
    }

    private func row(_ name: String, of table: String) throws -> [Substring] {
        let line = try #require(table.split(separator: "\n").first { $0.hasPrefix("  \(name)  ") })
        return line.dropFirst(name.count + 2).split(separator: /\s{2,}/)
    }

    @Test("the table has the median of the runs, with a mark where readers exclude each other")
    func figures() throws {
        let table = PeerReport(results: try Self.results(), placement: "anywhere").table
        #expect(try row("prwlock, C, cached", of: table) == ["6.00 ns", "5.00 ns", "30.0 µs", "1.00 µs"])
        #expect(try row("filelock FileLock, Python", of: table) == ["200 µs", "250 µs†", "none", "1.00 s†"])
    }

    @Test("the table has a row for what is not installed, and says how to install it")
    func absent() throws {
        let table = PeerReport(results: try Self.results(), placement: "anywhere").table
        #expect(try row("fasteners, Python", of: table) == ["not installed"])
        #expect(table.contains("fasteners, Python: not installed: pip install fasteners"))
        #expect(try row("etcd lock", of: table) == ["failed"])
        #expect(table.contains("etcd lock: failed: 2 < 3 & it ended"))
    }

    @Test("all of it is in the JSON")
    func json() throws {
        let text = PeerReport(results: try Self.results(), placement: "anywhere").json.text
        let report = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let peers = try #require(report["peers"] as? [[String: Any]])
        #expect(peers.map { $0["status"] as? String } == ["measured", "measured", "not installed", "failed"])
        #expect(
            peers.map { $0["detail"] as? String } == ["", "4.3", "pip install fasteners", "2 < 3 & it ended"])
        let cells = try #require(peers[1]["cells"] as? [[String: Any]])
        let scenarios = ["alone", "two-reading", "two-writing-in-turns", "two-mixed"]
        #expect(cells.map { $0["scenario"] as? String } == scenarios)
        #expect(cells.map { $0["exclusive"] as? Bool } == [false, true, false, true])
        #expect(cells[0]["median"] as? Double == 200_000)
        #expect(cells[2]["median"] is NSNull)
    }

    @Test("what two processes counted is their time, divided by their pairs")
    func sums() throws {
        let counts = [
            [Participant.Count(pairs: 3, nanoseconds: 90), Participant.Count(pairs: 1, nanoseconds: 90)]
        ]
        let result = PeerResult(
            peer: try Self.peer("flock"), state: .measured(version: ""), counts: [.turns: counts])
        #expect(result.cells[.turns]?.runs == [45])
        #expect(result.cells[.turns]?.slowest == [90])
    }

    @Test("the drawing is XML with a bar for each figure, and words where there is none")
    func drawing() throws {
        let text = PeerDrawing(results: try Self.results(), captions: ["1 < 2 processors"]).text
        let drawing = try Drawing(text)
        #expect(drawing.bars.count == 7)
        #expect(drawing.bars.filter { $0["class"] == "other outline" }.count == 2)
        for word in [
            "6.00 ns", "200 µs", "none", "not installed", "failed", "1 < 2 processors", "1 ns", "1 ms",
        ] {
            #expect(drawing.texts.contains(word), "\(word)")
        }
        // A page that is dark has colours of its own, and nothing is loaded from elsewhere.
        #expect(text.contains("@media (prefers-color-scheme: dark)"))
        #expect(text.ranges(of: "http").count == 1)
    }

    @Test("the drawing's scale is logarithmic: a thousand times as long is as far, wherever it is")
    func scale() throws {
        let results = [
            PeerResult(
                peer: try Self.peer("flock"), state: .measured(version: ""),
                cells: [.alone: Self.cell(10), .readers: Self.cell(10_000), .turns: Self.cell(10_000_000)])
        ]
        let widths = try Drawing(PeerDrawing(results: results, captions: []).text).bars.compactMap {
            $0["width"].flatMap(Double.init)
        }
        try #require(widths.count == 3)
        #expect(abs((widths[1] - widths[0]) - (widths[2] - widths[1])) < 0.2)
        #expect(widths[1] > widths[0])
    }
}
