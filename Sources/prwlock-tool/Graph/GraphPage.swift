import LockVocabulary
import PRWLock

/// A graph as one page of HTML that loads nothing: the drawing, and tables of all processes and locks.
///
/// Each box of the drawing is a link to its row, so that the keyboard reaches it and it works without the script. The script
/// moves and scales the drawing. No script or style but the page's own runs, whatever a name contains: the policy names a
/// word (`nonce`) that was drawn when the page was written.
struct GraphPage {
    let graph: WaitGraph
    let findings: WaitFindings
    /// When the page was written, and for which daemon.
    let caption: String
    /// The word of the policy; letters and digits.
    var nonce =
        String(UInt64.random(in: 0 ... .max), radix: 36) + String(UInt64.random(in: 0 ... .max), radix: 36)

    var text: String {
        let picture = GraphPicture(graph, findings)
        let drawing = VectorDrawing(picture, hasLinks: true).element(
            attributes: " id=\"drawing\" tabindex=\"0\"")
        let drawn = Set(picture.boxes.map(\.id))
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-\(nonce)'; \
            script-src 'nonce-\(nonce)'; base-uri 'none'; form-action 'none'">
            <meta name="viewport" content="width=device-width">
            <title>Who waits for whom</title>
            <style nonce="\(nonce)">
            \(Self.style)\(VectorDrawing.style)</style>
            </head>
            <body>
            <header>
            <h1>Who waits for whom</h1>
            <p class="quiet">\(GraphEscapes.markup(caption))</p>
            \(summary)</header>
            <section id="picture" aria-label="Drawing">
            <div id="tools" hidden><button id="in" aria-label="Larger">+</button>\
            <button id="out" aria-label="Smaller">−</button><button id="all" aria-label="Show all">all</button></div>
            \(drawing)</section>
            <section id="tables">
            \(processTable(drawn))\(lockTable(drawn))</section>
            <script nonce="\(nonce)">
            \(Self.script)</script>
            </body>
            </html>

            """
    }

    private var summary: String {
        guard !graph.isEmpty else { return "<p>Nothing waits.</p>\n" }
        let items = graph.sentences(findings).map {
            "<dt>\($0.heading)</dt><dd>\(GraphEscapes.markup($0.text))</dd>"
        }
        let omission = graph.omission.map { "<p>\(GraphEscapes.markup($0))</p>\n" } ?? ""
        return "<dl>\(items.joined(separator: "\n"))</dl>\n\(omission)"
    }

    private func processTable(_ drawn: Set<String>) -> String {
        let rows = findings.order.map { index in
            let party = graph.parties[index]
            let held = party.grants.map { graph.grants[$0] }.map { grant in
                link(toLock: grant.lock)
                    + GraphEscapes.markup(" (\(graph.words(for: grant)))\(note(grant.note))")
            }
            let waiting = party.waits.map { graph.waits[$0] }.map { wait in
                link(toLock: wait.lock)
                    + GraphEscapes.markup(" (\(graph.words(for: wait)))\(note(wait.note))")
            }
            let id = "p\(index)"
            let cells = [
                name(party.identity.shown, id, drawn), GraphEscapes.markup(party.process.user ?? ""),
                GraphEscapes.markup(party.process.unit ?? ""),
                GraphEscapes.markup(party.process.command ?? ""),
                findings.blocked[index].count > 0 ? String(findings.blocked[index].count) : "",
                list(held, of: held.count), list(waiting, of: waiting.count),
            ]
            return row(id, cells)
        }
        return table(
            "Processes", ["process", "user", "unit", "command", "blocks", "holds", "waits for"], rows)
    }

    private func lockTable(_ drawn: Set<String>) -> String {
        let rows = graph.locks.indices.map { index in
            let lock = graph.locks[index]
            let holders = lock.grants.map { graph.grants[$0] }.map {
                link(toParty: $0.party) + GraphEscapes.markup(" (\(graph.words(for: $0)))")
            }
            let waiters = lock.waits.map { graph.waits[$0] }.map {
                link(toParty: $0.party) + GraphEscapes.markup(" (\(graph.words(for: $0)))")
            }
            let id = "l\(index)"
            let cells = [
                name(lock.name.shown, id, drawn), GraphEscapes.markup(graph.summary(of: index)),
                list(holders, of: lock.holders), list(waiters, of: lock.waiters),
            ]
            return row(id, cells)
        }
        return table("Locks", ["lock", "state", "holders", "waiting, in their order"], rows)
    }

    /// The first entries of many; `--json` has all.
    private func list(_ entries: [String], of count: Int) -> String {
        let shown = entries.prefix(20)
        return (shown + (count > shown.count ? ["+\(count - shown.count) more"] : [])).joined(
            separator: "<br>")
    }

    private func table(_ title: String, _ headings: [String], _ rows: [String]) -> String {
        let head = headings.map { "<th scope=\"col\">\($0)</th>" }.joined()
        return """
            <h2>\(title)</h2>
            <table>
            <thead><tr>\(head)</tr></thead>
            <tbody>
            \(rows.joined())</tbody>
            </table>

            """
    }

    private func row(_ id: String, _ cells: [String]) -> String {
        "<tr id=\"\(id)\" tabindex=\"-1\">\(cells.map { "<td>\($0)</td>" }.joined())</tr>\n"
    }

    /// The name of a row, as a link to its box if the drawing has it.
    private func name(_ text: String, _ id: String, _ drawn: Set<String>) -> String {
        let text = GraphEscapes.markup(text)
        return drawn.contains(id) ? "<a href=\"#box-\(id)\">\(text)</a>" : text
    }

    private func note(_ note: Note) -> String {
        note.isEmpty ? "" : ", note: \(Harmless.show(NameAlphabet.decodeBytes(note.text)))"
    }

    private func link(toLock lock: Int) -> String {
        // The row of the lock has the whole name.
        let name = Table.cut(graph.locks[lock].name.shown, to: 48)
        return "<a href=\"#l\(lock)\">\(GraphEscapes.markup(name))</a>"
    }

    private func link(toParty party: Int) -> String {
        "<a href=\"#p\(party)\">\(GraphEscapes.markup(graph.parties[party].identity.shown))</a>"
    }
}
