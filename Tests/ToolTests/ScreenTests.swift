import LockVocabulary
import Seeded
import Testing

@testable import prwlock_tool

/// What `prwlock top` draws and reads, without a terminal.
@Suite struct ScreenTests {
    /// A terminal that knows what a screen uses: places, attributes and characters.
    private struct Terminal {
        var cells: [[Cell]]
        private var row = 0
        private var column = 0
        private var look = Look.plain
        private(set) var written = 0

        init(columns: Int, rows: Int) {
            cells = Array(
                repeating: Array(repeating: Cell(character: "#", look: .alarm), count: columns), count: rows)
        }

        mutating func show(_ text: String) throws {
            var rest = text[...]
            while let character = rest.popFirst() {
                guard character == "\u{1B}" else {
                    put(character)
                    continue
                }
                #expect(rest.popFirst() == "[")
                let numbers = rest.prefix { $0.isNumber || $0 == ";" }
                rest = rest.dropFirst(numbers.count)
                let values = numbers.split(separator: ";", omittingEmptySubsequences: false).map {
                    Int($0) ?? 0
                }
                switch rest.popFirst() {
                case "H": (row, column) = (values[0] - 1, values[1] - 1)
                case "J":
                    for row in cells.indices {
                        for column in cells[row].indices { cells[row][column] = .blank }
                    }
                case "m": look = try #require(Self.looks[values])
                default: Issue.record("an unknown sequence")
                }
            }
        }

        private static let looks: [[Int]: Look] = [
            [0]: .plain, [0, 1]: .strong, [0, 2]: .faint, [0, 7]: .chosen, [0, 1, 31]: .alarm,
        ]

        private mutating func put(_ character: Character) {
            for index in 0..<character.columns {
                cells[row][column] = Cell(character: index == 0 ? character : nil, look: look)
                column += 1
                written += 1
            }
        }
    }

    private func randomScreen(_ random: inout SeededGenerator, columns: Int, rows: Int) -> Screen {
        let looks = [Look.plain, .plain, .strong, .faint, .chosen, .alarm]
        let characters = Array("ab 表é…\u{1B}")
        let lines = (0..<rows).map { _ in
            var line = ScreenLine()
            for _ in 0..<Int.random(in: 0..<6, using: &random) {
                let text = String(
                    (0..<Int.random(in: 0..<8, using: &random)).compactMap { _ in
                        characters.randomElement(using: &random)
                    })
                line.append(text, looks.randomElement(using: &random) ?? .plain)
            }
            return line
        }
        return Screen(lines, columns: columns, rows: rows)
    }

    @Test(
        "a terminal that shows one screen shows the next one after its changes, whatever the two are",
        arguments: SeededGenerator.newSeeds)
    func changes(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let (columns, rows) = (
                Int.random(in: 1...30, using: &random), Int.random(in: 1...6, using: &random)
            )
            var terminal = Terminal(columns: columns, rows: rows)
            var shown: Screen?
            for _ in 0..<4 {
                let screen = randomScreen(&random, columns: columns, rows: rows)
                try terminal.show(screen.changes(from: shown, with: Pen()).text)
                #expect(terminal.cells == screen.rows)
                shown = screen
            }
        }
    }

    @Test("only what has changed is drawn")
    func onlyChanges() throws {
        let words = (0..<20).map { "line \($0) has 15 waiting requests" }
        let before = Screen(words.map { ScreenLine($0) }, columns: 80, rows: 20)
        var changed = words
        changed[7] = "line 7 has 16 waiting requests"
        let after = Screen(changed.map { ScreenLine($0) }, columns: 80, rows: 20)
        #expect(before.changes(from: before, with: Pen()).text.isEmpty)
        #expect(after.changes(from: before, with: Pen()).text == "\u{1B}[8;13H\u{1B}[m6")
        #expect(after.changes(from: before, with: Pen(hasColour: false)).text == "\u{1B}[8;13H6")
    }

    @Test("a pen for ASCII draws nothing else, in as many columns")
    func ascii() {
        let screen = Screen([ScreenLine("表é… ── µs")], columns: 12, rows: 1)
        let text = screen.changes(from: nil, with: Pen(hasColour: false, isASCII: true)).text
        #expect(text == "\u{1B}[2J\u{1B}[1;1H???~ -- us")
    }

    @Test("a line that is too long ends with an ellipsis, and no wide character is cut")
    func fitting() {
        #expect(Screen([ScreenLine("abcdef")], columns: 4, rows: 1).text == "abc…\n")
        #expect(Screen([ScreenLine("a表表")], columns: 4, rows: 1).text == "a表…\n")
        #expect(Screen([ScreenLine("表表表")], columns: 4, rows: 1).text == "表 …\n")
        #expect(Screen([ScreenLine("a\u{1B}[2J")], columns: 9, rows: 1).text == "a\\x1B[2J \n")
    }

    @Test("wide characters take two columns, and marks that combine take none")
    func widths() {
        #expect("abc".columns == 3)
        #expect("表示".columns == 4)
        #expect("한국어".columns == 6)
        #expect("ｱ".columns == 1)
        #expect("Ａ".columns == 2)
        #expect("e\u{301}".columns == 1)
        #expect("🔒".columns == 2)
        #expect("a表b".prefix(columns: 2) == "a")
        #expect("a表b".suffix(columns: 3) == "表b")
        #expect(Table.cut("報告報告報告報告", to: 9) == "報告…報告")
    }

    @Test("keys are decoded from bytes that arrive in any parts")
    func keys() {
        let bytes = Array("j\u{1B}[A\u{1B}OB\u{1B}[5~\u{1B}[1;5H\r\t\u{7F}é表\u{1B}[200~q\u{0C}".utf8)
        let keys: [Key] = [
            .character("j"), .up, .down, .pageUp, .home, .enter, .tab, .backspace, .character("é"),
            .character("表"), .character("q"), .redraw,
        ]
        for cut in bytes.indices {
            var decoder = KeyDecoder()
            let decoded = decoder.decode(bytes[..<cut]) + decoder.decode(bytes[cut...])
            #expect(decoded == keys, "cut at \(cut)")
            #expect(!decoder.isIncomplete)
        }
        var decoder = KeyDecoder()
        #expect(decoder.decode([0x1B]).isEmpty)
        #expect(decoder.isIncomplete)
        #expect(decoder.flush() == [.escape])
        #expect(decoder.decode([0xC3, 0x41, 0xFF, 0x42]) == [.character("A"), .character("B")])
    }

    @Test("random bytes from a keyboard leave the decoder in order", arguments: SeededGenerator.newSeeds)
    func randomKeys(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var decoder = KeyDecoder()
        for _ in 0..<2_000 {
            let count = random.number(1...8)
            _ = decoder.decode((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
        }
        _ = decoder.flush()
        #expect(decoder.decode(Array("q".utf8)) == [.character("q")])
    }
}
