import LockVocabulary

/// A table for people, with aligned columns under headings.
///
/// It can be rendered in parts. A later part has no heading, and keeps the columns of the first part and at least their
/// widths. If the length of a line is limited, each row still takes one line: `TableWidths` decides what to shorten.
struct Table {
    struct Column {
        var heading: String
        /// Aligns the cells to the right, so numbers are easy to compare.
        var isNumber = false
        /// Whether a cell may lose its middle if the line is too long.
        var mayBeCut = false
        /// Whether the column may be dropped if the line is too long; the lowest number is dropped first.
        var expendability: Int?
    }

    private let columns: [Column]
    private let style: Style
    private var widths: [Int]
    /// The indices of the shown columns; nil before the first part.
    private var shown: [Int]?

    init(_ columns: [Column], style: Style) {
        self.columns = columns
        self.style = style
        widths = columns.map(\.heading.columns)
    }

    /// Renders rows; the first call puts the heading before them. It escapes each cell, and shows an empty one as a
    /// dash.
    mutating func render(_ rows: [[String]]) -> Shown {
        let rows = rows.map { row in row.map { $0.isEmpty ? "-" : Harmless.show($0) } }
        for row in rows {
            for (index, cell) in row.enumerated() where index < widths.count {
                widths[index] = max(widths[index], cell.columns)
            }
        }
        var text: Shown = ""
        let isFirst = shown == nil
        let shown = shown ?? TableWidths.choose(columns, widths, rows, lineLength: style.columns)
        self.shown = shown
        let fitted = TableWidths.fit(shown, columns, widths, lineLength: style.columns)
        if isFirst { text += style.strong(line(columns.map(\.heading), shown, fitted)) + "\n" }
        for row in rows { text += "\(line(row, shown, fitted))\n" }
        return text
    }

    private func line(_ cells: [String], _ shown: [Int], _ widths: [Int]) -> String {
        var line = ""
        for index in shown where index < cells.count {
            let cell = Self.cut(cells[index], to: widths[index])
            let padding = String(repeating: " ", count: max(0, widths[index] - cell.columns))
            line += columns[index].isNumber ? padding + cell : cell + padding
            line += "  "
        }
        while line.last == " " { line.removeLast() }
        return style.fit(line)
    }

    /// Replaces the middle of the text with an ellipsis: the program and the last argument of a command line say the
    /// most.
    static func cut(_ text: String, to width: Int) -> String {
        guard width > 1, text.columns > width else { return text }
        let tail = (width - 1) / 2
        return text.prefix(columns: width - 1 - tail) + "…" + text.suffix(columns: tail)
    }
}

/// Divides a line among the columns if it is too short for all of them.
///
/// 1. Drop optional columns in which all cells are empty.
/// 2. Shorten cells that may be cut, the widest first, to a width that is still readable.
/// 3. Drop the other optional columns one by one until the rest fits.
enum TableWidths {
    private static let gap = 2
    /// The least width of a cell that is cut.
    private static let leastCut = 12

    /// The indices of the columns to show.
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

    /// The widths at which the columns fit the line, if possible.
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
            column.mayBeCut ? min(width, max(leastCut, column.heading.columns)) : width
        }
    }

    private static func total(_ shown: [Int], _ widths: [Int]) -> Int {
        shown.map { widths[$0] + gap }.reduce(-gap, +)
    }
}

/// The appearance of text: colour, and the width of the terminal.
struct Style {
    var hasColour = false
    var columns: Int?

    static let plain = Style()

    /// The style for standard output. `NO_COLOR` (no-color.org) and a dumb terminal disable colour.
    static func standardOutput(environment: [String: String]) -> Style {
        guard StandardOutput.isTerminal else { return plain }
        let isForbidden = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
        return Style(hasColour: !isForbidden, columns: StandardOutput.columns)
    }

    func strong(_ text: String) -> Shown { paint(text, "1") }

    /// Cuts the line to the terminal's width, so a row never wraps.
    func fit(_ line: String) -> String {
        guard let columns, columns > 1, line.columns > columns else { return line }
        return line.prefix(columns: columns - 1) + "…"
    }

    private func paint(_ text: String, _ code: String) -> Shown {
        hasColour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : Shown(text)
    }
}
