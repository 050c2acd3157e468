import LockVocabulary

/// The appearance of a part of a line.
enum Look: Equatable {
    case plain
    /// Headings and what matters most.
    case strong
    /// What a reader may pass over.
    case faint
    /// The row that the keys act on.
    case chosen
    /// What is out of order.
    case alarm
}

/// One column of a line; a wide character takes two cells, of which the second is empty.
struct Cell: Equatable {
    /// The character; nil for the right half of the wide one before it.
    var character: Character?
    var look: Look

    static let blank = Cell(character: " ", look: .plain)
}

/// A line of the screen. All text passes `Harmless`, so that no name or command line can move the cursor.
struct ScreenLine: Equatable {
    private(set) var cells: [Cell] = []

    init() {}

    init(_ text: String, _ look: Look = .plain) { append(text, look) }

    mutating func append(_ text: String, _ look: Look = .plain) {
        for character in Harmless.show(text) {
            // A mark without a letter before it has no column of its own.
            guard character.columns > 0 else { continue }
            cells.append(Cell(character: character, look: look))
            if character.columns == 2 { cells.append(Cell(character: nil, look: look)) }
        }
    }

    /// Appends blanks, and then the text so that it ends in the last of the given columns; omits it if there is no room.
    mutating func appendRight(_ text: String, _ look: Look = .plain, columns: Int) {
        let gap = columns - cells.count - Harmless.show(text).columns
        guard gap > 0 else { return }
        append(String(repeating: " ", count: gap))
        append(text, look)
    }

    /// Gives all of the line this look, up to the given column.
    mutating func paint(_ look: Look, columns: Int) {
        if cells.count < columns { append(String(repeating: " ", count: columns - cells.count)) }
        for index in cells.indices { cells[index].look = look }
    }

    /// The cells of a line of this length. A longer line ends with an ellipsis.
    func fitted(to columns: Int) -> [Cell] {
        if cells.count <= columns { return cells + Array(repeating: .blank, count: columns - cells.count) }
        guard columns > 0 else { return [] }
        var cut = Array(cells.prefix(columns - 1))
        // The left half of a wide character cannot stand alone.
        if cells[columns - 1].character == nil, !cut.isEmpty { cut[cut.count - 1].character = " " }
        cut.append(Cell(character: "…", look: cut.last?.look ?? .plain))
        return cut
    }

    var text: String { String(cells.compactMap(\.character)) }
}

/// What a terminal shows: rows of cells.
struct Screen: Equatable {
    let columns: Int
    private(set) var rows: [[Cell]]

    /// Lines beyond the last row are not shown, and missing ones are blank.
    init(_ lines: [ScreenLine], columns: Int, rows count: Int) {
        self.columns = columns
        rows = (0..<count).map { index in
            (index < lines.count ? lines[index] : ScreenLine()).fitted(to: columns)
        }
    }

    var text: String {
        rows.map { String($0.compactMap(\.character)) + "\n" }.joined()
    }
}
