/// How a terminal shows looks and characters.
struct Pen: Equatable {
    /// Whether the terminal may get colours and other attributes; without them, words and marks say all.
    var hasColour = true
    /// Whether the terminal shows only ASCII.
    var isASCII = false

    fileprivate func attributes(_ look: Look) -> String {
        guard hasColour else { return "" }
        return switch look {
        case .plain: "\u{1B}[m"
        case .strong: "\u{1B}[0;1m"
        case .faint: "\u{1B}[0;2m"
        case .chosen: "\u{1B}[0;7m"
        case .alarm: "\u{1B}[0;1;31m"
        }
    }

    fileprivate func spelling(_ cell: Cell) -> String {
        guard let character = cell.character else { return "" }
        guard isASCII, !character.isASCII else { return String(character) }
        return switch character {
        case "…": "~"
        case "─": "-"
        case "µ": "u"
        default: String(repeating: "?", count: character.columns)
        }
    }
}

extension Screen {
    /// The bytes that make a terminal that shows `shown` show this screen.
    ///
    /// Each run of changed cells is written at its place. A run is extended over a few equal cells where that takes fewer
    /// bytes than to move the cursor. The cursor is placed before each run, so that a terminal that takes another width for
    /// a character draws at most that run in a wrong place.
    ///
    /// - Parameter shown: nil if it is unknown what the terminal shows: then all is drawn.
    func changes(from shown: Screen?, with pen: Pen) -> Shown {
        var output = ""
        var before = shown
        if shown?.columns != columns || shown?.rows.count != rows.count {
            output += pen.hasColour ? "\u{1B}[m\u{1B}[2J" : "\u{1B}[2J"
            before = Screen([], columns: columns, rows: rows.count)
        }
        for (index, pair) in zip(before?.rows ?? [], rows).enumerated() where pair.0 != pair.1 {
            for run in Self.runs(from: pair.0, to: pair.1) {
                output += "\u{1B}[\(index + 1);\(run.lowerBound + 1)H" + spell(pair.1[run], with: pen)
            }
        }
        return Shown(ofThisProgram: output)
    }

    private func spell(_ cells: ArraySlice<Cell>, with pen: Pen) -> String {
        var output = ""
        var look: Look?
        for cell in cells {
            if cell.look != look { output += pen.attributes(cell.look) }
            look = cell.look
            output += pen.spelling(cell)
        }
        return look == .plain ? output : output + pen.attributes(.plain)
    }

    /// A move of the cursor takes up to eight bytes.
    private static let gap = 8

    /// The runs of cells that differ. No run begins or ends inside of a wide character.
    static func runs(from old: [Cell], to new: [Cell]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for index in new.indices where old[index] != new[index] {
            let start = new[index].character == nil ? index - 1 : index
            let end = index + 1 < new.count && new[index + 1].character == nil ? index + 2 : index + 1
            if let last = runs.last, start - last.upperBound <= gap {
                runs[runs.count - 1] = last.lowerBound..<max(last.upperBound, end)
            } else {
                runs.append(start..<end)
            }
        }
        return runs
    }
}
