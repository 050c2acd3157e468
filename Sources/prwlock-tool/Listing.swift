/// Prints rows in blocks while they arrive, so a million locks take the memory of a thousand.
struct Listing {
    private var table: Table
    private let isJSON: Bool
    private var pending: [[String]] = []
    private var isEmpty = true

    private static let block = 1000

    init(_ columns: [Table.Column], _ show: ShowOptions) {
        table = Table(columns, style: show.style)
        isJSON = show.json
    }

    /// Adds a row of the table, or its JSON.
    mutating func add(_ cells: @autoclosure () -> [String], _ json: @autoclosure () -> JSON) {
        if isJSON {
            StandardOutput.write((isEmpty ? "[" : ",\n ") + Shown(json().encoded))
            isEmpty = false
            return
        }
        isEmpty = false
        pending.append(cells())
        if pending.count == Self.block { flush() }
    }

    /// Adds a paragraph instead of a row, or its JSON. An empty line separates two paragraphs.
    mutating func add(text: @autoclosure () -> Shown, _ json: @autoclosure () -> JSON) {
        if isJSON {
            add([], json())
        } else {
            StandardOutput.write((isEmpty ? "" : "\n") + text())
            isEmpty = false
        }
    }

    /// Prints the remaining rows, or `words` if there were none.
    mutating func finish(orPrint words: String) {
        if isJSON {
            StandardOutput.write(isEmpty ? "[]\n" : "]\n")
        } else if isEmpty {
            StandardOutput.write("\(words)\n")
        } else {
            flush()
        }
    }

    private mutating func flush() {
        guard !pending.isEmpty else { return }
        StandardOutput.write(table.render(pending))
        pending = []
    }
}
