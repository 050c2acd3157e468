/// A graph in the languages of other programs that draw.
extension GraphPicture {
    /// In the language of graphviz: `prwlock graph --dot | dot -Tsvg`.
    var dot: String {
        var text = """
            digraph waits {
              rankdir=RL
              node [fontname="monospace" fontsize=10 shape=box]
              edge [fontname="monospace" fontsize=9]

            """
        if boxes.isEmpty { text += "  nothing [label=\"nothing waits\" shape=plaintext]\n" }
        for box in boxes {
            var attributes = "label=\(GraphEscapes.dot(box.lines)) tooltip=\(GraphEscapes.dot([box.full]))"
            switch box.kind {
            case .lock: attributes += " style=rounded"
            case .rest: attributes += " style=dashed"
            case .process: if box.isStrong { attributes += " color=red penwidth=2" }
            }
            text += "  \(box.id) [\(attributes)]\n"
        }
        for arrow in arrows {
            var attributes = "label=\(GraphEscapes.dot([arrow.label]))"
            if !arrow.isWait { attributes += " style=bold arrowhead=none" }
            if arrow.isStrong { attributes += " color=red" }
            text += "  \(boxes[arrow.from].id) -> \(boxes[arrow.to].id) [\(attributes)]\n"
        }
        return text + "}\n"
    }

    /// In the language of Mermaid, which forges and wikis draw.
    var mermaid: String {
        var text = "flowchart RL\n"
        if boxes.isEmpty { text += "  nothing[\"nothing waits\"]\n" }
        for box in boxes {
            let label = GraphEscapes.mermaid(box.lines)
            text += box.kind == .lock ? "  \(box.id)([\(label)])\n" : "  \(box.id)[\(label)]\n"
        }
        for arrow in arrows {
            let line = arrow.isWait ? "-->" : "==>"
            let label = arrow.label.isEmpty ? "" : "|\(GraphEscapes.mermaid([arrow.label]))|"
            text += "  \(boxes[arrow.from].id) \(line)\(label) \(boxes[arrow.to].id)\n"
        }
        let strong = arrows.indices.filter { arrows[$0].isStrong }.map(String.init)
        if !strong.isEmpty { text += "  linkStyle \(strong.joined(separator: ",")) stroke:#d1242f\n" }
        for box in boxes where box.isStrong { text += "  style \(box.id) stroke:#d1242f\n" }
        return text
    }
}
