import LockWire
import Seeded
import Testing

@Suite("Lines from bytes")
struct LineReaderTests {
    /// The lines that a reader finds in successive chunks.
    private func lines(_ chunks: [[UInt8]], limit: Int = 64) -> [String] {
        var reader = LineReader(limit: limit)
        var lines: [String] = []
        for chunk in chunks {
            let count = chunk.withUnsafeBytes { bytes in
                reader.read(bytes) { line in
                    lines.append(Self.spell(line))
                    return true
                }
            }
            #expect(count == chunk.count)
            #expect(reader.partialCount < limit)
        }
        return lines
    }

    private static func spell(_ line: LineReader.Line) -> String {
        switch line {
        case .text(let bytes): String(decoding: bytes, as: UTF8.self)
        case .tooLong(let beginning): "<too long>" + String(decoding: beginning, as: UTF8.self)
        }
    }

    private func lines(_ text: String, limit: Int = 64) -> [String] {
        lines([Array(text.utf8)], limit: limit)
    }

    @Test("A whole line in a chunk is what the reader finds there; other lines are left to the reader")
    func wholeLines() {
        let texts = [
            "PING\n", "  READ a \r\nX\n", "\n", " \r\n", "PI", "", "\r\n", "12345678\n", "1234567\n",
            "1234567\r\n",
        ]
        for text in texts {
            Array(text.utf8).withUnsafeBytes { chunk in
                var reader = LineReader(limit: 9)
                var first: String?
                let count = reader.read(chunk) { line in
                    first = Self.spell(line)
                    return false
                }
                guard let whole = LineReader.wholeLine(in: chunk, from: 0, limit: 9) else {
                    #expect(first == nil || first?.hasPrefix("<too long>") == true, "\(text)")
                    return
                }
                let found = String(decoding: whole.text, as: UTF8.self)
                // The reader passes over an empty line.
                if found.isEmpty {
                    #expect(first == nil)
                } else {
                    #expect(first == found && count == whole.end)
                }
            }
        }
    }

    @Test("Lines end with a line feed; carriage returns, outer spaces and empty lines are skipped")
    func plain() {
        #expect(lines("PING\nPONG\n") == ["PING", "PONG"])
        #expect(lines("PING\r\n  READ a  \r\n") == ["PING", "READ a"])
        #expect(lines("\n\r\n   \n  \r\n") == [])
        #expect(lines("a\rb\n\r\r\n") == ["a\rb", "\r"])
        #expect(lines("") == [])
    }

    @Test("A partial line at the end of input is never returned")
    func halfLine() {
        #expect(lines("PING\nREAD jo") == ["PING"])
    }

    @Test("A line as long as the limit is accepted; one byte more is too long", arguments: 1...40)
    func limit(length: Int) {
        let line = String(repeating: "x", count: length)
        #expect(
            lines(line + "\nPING\n", limit: length + 1)
                == [line, "PING"].map { $0.count > length ? "<too long>\($0.prefix(length + 1))" : $0 })
        #expect(lines(line + "x\nab\n", limit: length + 1).first == "<too long>\(line)x")
    }

    @Test("The lines do not depend on the cuts between chunks")
    func everyCut() {
        let text =
            "PING\n#1 READ jobs wait=5s\r\n\n  \n" + String(repeating: "y", count: 100) + "\nQUIT\nhalf"
        let bytes = Array(text.utf8)
        let whole = lines([bytes])
        let beginning = String(repeating: "y", count: 64)
        #expect(whole == ["PING", "#1 READ jobs wait=5s", "<too long>\(beginning)", "QUIT"])
        #expect(lines(bytes.map { [$0] }) == whole)
        for cut in 0...bytes.count {
            #expect(lines([Array(bytes[..<cut]), Array(bytes[cut...])]) == whole)
        }
    }

    @Test(
        "Random bytes in random chunks give the lines that a simple reader finds",
        arguments: SeededGenerator.newSeeds)
    func randomCuts(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let alphabet = Array("ab \r\n\n\u{0}z".utf8)
            let bytes = (0..<Int.random(in: 0...400, using: &generator)).map { _ in
                alphabet.randomElement(using: &generator) ?? 0
            }
            let limit = Int.random(in: 1...20, using: &generator)
            var chunks: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 0...min(30, rest.count), using: &generator)
                chunks.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            #expect(lines(chunks, limit: limit) == simpleLines(bytes, limit: limit), "seed \(seed)")
        }
    }

    /// The lines by the simplest method, which needs all bytes at once.
    private func simpleLines(_ bytes: [UInt8], limit: Int) -> [String] {
        let newline = UInt8(ascii: "\n")
        let parts = bytes.split(separator: newline, omittingEmptySubsequences: false)
        return parts.enumerated().compactMap { index, part in
            if part.count >= limit {
                return "<too long>" + String(decoding: part.prefix(limit), as: UTF8.self)
            }
            guard index < parts.count - 1 else { return nil }
            var line = part
            if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
            while line.first == UInt8(ascii: " ") { line = line.dropFirst() }
            while line.last == UInt8(ascii: " ") { line = line.dropLast() }
            return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
        }
    }

    @Test("A line without end is reported once, and its bytes are not kept (G12)")
    func endless() {
        var reader = LineReader(limit: 65_536)
        let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 10_000)
        var told = 0
        for _ in 0..<10_000 {
            _ = chunk.withUnsafeBytes { bytes in
                reader.read(bytes) { line in
                    if case .tooLong = line { told += 1 }
                    return true
                }
            }
            #expect(reader.partialCount < 65_536)
        }
        #expect(told == 1)
        #expect(reader.partialCount == 0)
        var lines: [String] = []
        _ = Array("x\nPING\n".utf8).withUnsafeBytes { bytes in
            reader.read(bytes) { line in
                lines.append(Self.spell(line))
                return true
            }
        }
        #expect(lines == ["PING"])
    }

    @Test("A million empty lines are skipped")
    func emptyLines() {
        #expect(
            lines([[UInt8](repeating: UInt8(ascii: "\n"), count: 1_000_000), Array("PING\n".utf8)]) == [
                "PING"
            ])
    }

    @Test("A reader stops after the line at which it is told to stop, and continues there")
    func stopping() {
        let text = Array("half\nPING\nREAD a\nQUIT\nrest".utf8)
        var reader = LineReader(limit: 64)
        var lines: [String] = []
        var start = 2
        _ = text[..<start].withUnsafeBytes { reader.read($0) { _ in true } }
        while start < text.count {
            let count = text[start...].withUnsafeBytes { bytes in
                reader.read(bytes) { line in
                    lines.append(Self.spell(line))
                    return false
                }
            }
            #expect(count > 0)
            start += count
            #expect(text[start - 1] == UInt8(ascii: "\n") || start == text.count)
        }
        #expect(lines == ["half", "PING", "READ a", "QUIT"])
        #expect(reader.partialCount == 4)
    }

    @Test("A line within one chunk is not copied")
    func inPlace() {
        let chunk = Array("PING\nREAD a\n".utf8)
        var reader = LineReader(limit: 64)
        chunk.withUnsafeBytes { bytes in
            _ = reader.read(bytes) { line in
                guard case .text(let text) = line, let start = text.baseAddress, let from = bytes.baseAddress
                else {
                    Issue.record("no line")
                    return false
                }
                #expect(start >= from && start < from + bytes.count)
                return true
            }
        }
    }
}
