import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Rendezvous

/// `prwlock graph`: which processes wait for which others, through which locks.
struct GraphCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graph", abstract: "Show who waits for whom, through which locks.",
        discussion: "Without an option it draws a tree for a terminal.")

    enum Form: EnumerableFlag {
        case dot, mermaid, svg, html, json

        static func help(for value: Form) -> ArgumentHelp? {
            switch value {
            case .dot: "Print the graph in the language of graphviz."
            case .mermaid: "Print the graph in the language of Mermaid."
            case .svg: "Print an SVG image."
            case .html: "Print a page with the drawing and tables, in one file."
            case .json: "Print JSON, for programs."
            }
        }
    }

    @Flag(exclusivity: .exclusive)
    var form: Form?

    @Option(help: ArgumentHelp("The most locks to show, those with most waiters first.", valueName: "number"))
    var limit = 100

    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var names: PrefixOptions

    func validate() throws {
        guard (1...500).contains(limit) else { throw ValidationError("--limit is from 1 to 500") }
    }

    func run() throws {
        try complaining { () throws(Complaint) in
            let connection = try daemon.choice.connect()
            let space = LockSpace(of: connection)
            let place = connection.location()?.path ?? "a socket without a name"
            var reader = GraphReader(over: connection)
            let graph = try reader.read(names.prefix, limit: limit)
            StandardOutput.write(render(graph, caption: "\(DisplayClock().timestamp), \(place)"))
            if form == nil, let remark = space.remark { StandardError.report(remark) }
        }
    }

    private func render(_ graph: WaitGraph, caption: String) -> Shown {
        let findings = WaitFindings(of: graph)
        var picture: GraphPicture { GraphPicture(graph, findings) }
        switch form {
        case nil:
            let environment = Surroundings.current().environment
            var tree = GraphTree(
                graph, findings, style: .standardOutput(environment: environment),
                isUnicode: Self.isUnicode(environment))
            return tree.render()
        case .dot: return Self.shown(picture.dot)
        case .mermaid: return Self.shown(picture.mermaid)
        case .svg: return Self.shown(VectorDrawing(picture).text)
        case .html: return Self.shown(GraphPage(graph: graph, findings: findings, caption: caption).text)
        case .json: return "\(graph.json(findings).encoded)\n"
        }
    }

    /// A text of several lines, in which all that is from outside was made harmless.
    private static func shown(_ text: String) -> Shown { Shown(lines: Array(text.utf8)) }

    /// Whether the locale's encoding is UTF-8. As in `setlocale(3)`, the first variable that is not empty counts.
    static func isUnicode(_ environment: [String: String]) -> Bool {
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
        let letters = locale.lowercased().filter { $0 != "-" }
        return letters.hasSuffix("utf8") || letters.contains("utf8@")
    }
}
