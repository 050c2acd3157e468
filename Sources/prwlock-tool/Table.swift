/// A table for people: columns under headings, aligned.
///
/// It may be told in parts: a later part keeps the columns of the first and at least their widths, and has no heading.
/// Where lines may only be so long, every row stays one line: `TableWidths` says what gives way.
struct Table {
    struct Column {
        var heading: String
        /// Numbers are easier to compare when their ends stand below each other.
        var isNumber = false
        /// Whether a cell may be cut in the middle, where the line would be too long.
        var mayBeCut = false
        /// Whether the column may be left out, where the line would be too long: the lowest number first.
        var expendability: Int?
    }

    private let columns: [Column]
    private let style: Style
    private var widths: [Int]
    /// The columns that are shown, by their places; nil before the first part.
    private var shown: [Int]?

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
        let isFirst = shown == nil
        let shown = shown ?? TableWidths.choose(columns, widths, rows, lineLength: style.columns)
        self.shown = shown
        let fitted = TableWidths.fit(shown, columns, widths, lineLength: style.columns)
        if isFirst { text += style.strong(line(columns.map(\.heading), shown, fitted)) + "\n" }
        for row in rows { text += line(row, shown, fitted) + "\n" }
        return text
    }

    private func line(_ cells: [String], _ shown: [Int], _ widths: [Int]) -> String {
        var line = ""
        for index in shown where index < cells.count {
            let cell = Self.cut(cells[index], to: widths[index])
            let padding = String(repeating: " ", count: max(0, widths[index] - cell.count))
            line += columns[index].isNumber ? padding + cell : cell + padding
            line += "  "
        }
        while line.last == " " { line.removeLast() }
        return style.fit(line)
    }

    /// The text with its middle left out: of a command line the program and the last argument say the most.
    static func cut(_ text: String, to width: Int) -> String {
        guard text.count > width, width > 1 else { return text }
        let tail = (width - 1) / 2
        return text.prefix(width - 1 - tail) + "…" + text.suffix(tail)
    }
}

/// How a table's columns share a line that is too short for all of them.
///
/// 1. Columns in which no row has anything are left out.
/// 2. Cells that may be cut give way, the widest first, down to a width at which they still tell something.
/// 3. Columns that may be left out are, one by one, until the rest fits.
enum TableWidths {
    private static let gap = 2
    /// What is left of a cell that is cut, at least.
    private static let leastCut = 12

    /// The places of the columns to show.
    static func choose(
        _ columns: [Table.Column], _ widths: [Int], _ rows: [[String]], lineLength: Int?
    ) -> [Int] {
        var shown = Array(columns.indices)
        guard let lineLength, total(shown, widths) > lineLength else { return shown }
        shown.removeAll { index in
            columns[index].expendability != nil && rows.allSatisfy { index < $0.count && $0[index] == "-" }
        }
        while total(shown, smallest(columns, widths)) > lineLength {
            let expendable = shown.filter { columns[$0].expendability != nil }
            guard let next = expendable.min(by: { rank(columns[$0]) < rank(columns[$1]) }) else { break }
            shown.removeAll { $0 == next }
        }
        return shown
    }

    /// The widths at which the columns fit the line, if they can.
    static func fit(
        _ shown: [Int], _ columns: [Table.Column], _ widths: [Int], lineLength: Int?
    ) -> [Int] {
        var widths = widths
        guard let lineLength else { return widths }
        let least = smallest(columns, widths)
        while total(shown, widths) > lineLength {
            let wide = shown.filter { widths[$0] > least[$0] }
            guard let widest = wide.max(by: { widths[$0] < widths[$1] }) else { break }
            widths[widest] -= 1
        }
        return widths
    }

    private static func rank(_ column: Table.Column) -> Int { column.expendability ?? Int.max }

    private static func smallest(_ columns: [Table.Column], _ widths: [Int]) -> [Int] {
        zip(columns, widths).map { column, width in
            column.mayBeCut ? min(width, max(leastCut, column.heading.count)) : width
        }
    }

    private static func total(_ shown: [Int], _ widths: [Int]) -> Int {
        shown.map { widths[$0] + gap }.reduce(-gap, +)
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
