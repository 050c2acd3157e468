/// Rows that are shown while they come, in blocks: a million locks need the memory of a thousand.
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

    /// A row for people, and the same for programs.
    mutating func add(_ cells: @autoclosure () -> [String], _ json: @autoclosure () -> JSON) {
        if isJSON {
            StandardOutput.write((isEmpty ? "[" : ",\n ") + json().encoded)
            isEmpty = false
            return
        }
        isEmpty = false
        pending.append(cells())
        if pending.count == Self.block { flush() }
    }

    /// A part for people that is no row of the table, apart from the one before by an empty line.
    mutating func add(text: @autoclosure () -> String, _ json: @autoclosure () -> JSON) {
        if isJSON {
            add([], json())
        } else {
            StandardOutput.write((isEmpty ? "" : "\n") + text())
            isEmpty = false
        }
    }

    /// Shows what is left; a table without rows is said in words instead.
    mutating func finish(orSay words: String) {
        if isJSON {
            StandardOutput.write(isEmpty ? "[]\n" : "]\n")
        } else if isEmpty {
            StandardOutput.write(words + "\n")
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
