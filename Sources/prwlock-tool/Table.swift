/// A table for people: columns under headings, aligned.
///
/// It may be told in parts: a later part keeps at least the widths of those before it, and no heading.
struct Table {
    struct Column {
        var heading: String
        /// Numbers are easier to compare when their ends stand below each other.
        var isNumber = false
    }

    private let columns: [Column]
    private let style: Style
    private var widths: [Int]
    private var hasHeading = false

    init(_ columns: [Column], style: Style) {
        self.columns = columns
        self.style = style
        widths = columns.map(\.heading.count)
    }

    /// The rows as text, the heading before the first ones. Each cell is made harmless; an empty one is a dash.
    mutating func render(_ rows: [[String]]) -> String {
        let rows = rows.map { row in row.map { $0.isEmpty ? "-" : Harmless.show($0) } }
        for row in rows {
            for (index, cell) in row.enumerated() where index < widths.count {
                widths[index] = max(widths[index], cell.count)
            }
        }
        var text = ""
        if !hasHeading {
            hasHeading = true
            text += style.strong(line(columns.map(\.heading))) + "\n"
        }
        for row in rows { text += line(row) + "\n" }
        return text
    }

    private func line(_ cells: [String]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() where index < widths.count {
            let padding = String(repeating: " ", count: widths[index] - cell.count)
            line += columns[index].isNumber ? padding + cell : cell + padding
            line += "  "
        }
        while line.last == " " { line.removeLast() }
        return style.fit(line)
    }
}

/// How text looks where it goes: colour and a last column only on a terminal.
struct Style {
    var hasColour = false
    var columns: Int?

    static let plain = Style()

    /// For standard output; `NO_COLOR` (no-color.org) and a terminal that can do nothing forbid colour.
    static func standardOutput(environment: [String: String]) -> Style {
        guard StandardOutput.isTerminal else { return plain }
        let isForbidden = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
        return Style(hasColour: !isForbidden, columns: StandardOutput.columns)
    }

    func strong(_ text: String) -> String { paint(text, "1") }
    func warning(_ text: String) -> String { paint(text, "33") }

    /// The line, cut to the terminal's width: a row that goes on in the next line is no row.
    func fit(_ line: String) -> String {
        guard let columns, columns > 1, line.count > columns else { return line }
        return line.prefix(columns - 1) + "…"
    }

    private func paint(_ text: String, _ code: String) -> String {
        hasColour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
