import LockVocabulary

/// Reads the words of a line in their order, without copying them.
struct LineWords {
    private let line: UnsafeRawBufferPointer
    private var position = 0

    init(_ line: UnsafeRawBufferPointer) { self.line = line }

    /// The next word; nil at the end of the line. Any number of spaces separates two words.
    @inline(__always)
    mutating func next() -> UnsafeRawBufferPointer? {
        while position < line.count, line[position] == .space { position += 1 }
        guard position < line.count else { return nil }
        let start = position
        repeat { position += 1 } while position < line.count && line[position] != .space
        return line.part(start, position)
    }

    /// Where the last word ends.
    var end: Int { position }

    /// What stands from a position on, up to the next space; nothing if a space stands there.
    func word(from start: Int) -> UnsafeRawBufferPointer {
        var end = start
        while end < line.count, line[end] != .space { end += 1 }
        return line.part(start, end)
    }

    /// Whether the last word ends the line.
    var isAtEnd: Bool { position == line.count }

    /// Takes the rest of the line without the spaces before it.
    mutating func rest() -> UnsafeRawBufferPointer {
        while position < line.count, line[position] == .space { position += 1 }
        defer { position = line.count }
        return line.part(position, line.count)
    }
}

extension UInt8 {
    static let lineFeed = UInt8(ascii: "\n")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")
}

extension UnsafeRawBufferPointer {
    /// The bytes from one offset up to another. Both offsets are valid.
    @inline(__always)
    func part(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: baseAddress.map { $0 + start }, count: end - start)
    }

    /// Whether every byte is a space or a visible ASCII character.
    var isPrintable: Bool { allSatisfy { (0x20...0x7E).contains($0) } }

    /// The offset of the first byte of this value; nil if there is none.
    @inline(__always)
    func offset(of wanted: UInt8) -> Int? {
        var index = 0
        while index < count {
            if self[index] == wanted { return index }
            index += 1
        }
        return nil
    }

    /// Whether the bytes equal a word.
    @inline(__always)
    func spells(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        var index = 0
        while index < count {
            guard self[index] == word.utf8Start[index] else { return false }
            index += 1
        }
        return true
    }

    /// Whether the bytes equal a word in any case. The word is given in capital letters.
    @inline(__always)
    func spellsVerb(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        var index = 0
        while index < count {
            // The mask turns a letter into its capital. It turns no other byte into a letter.
            guard self[index] & 0xDF == word.utf8Start[index] else { return false }
            index += 1
        }
        return true
    }

    /// The decimal number that the bytes spell, without a sign or leading zeros; nil if they spell none, or one that is
    /// too large.
    ///
    /// A number has one spelling, because shell scripts compare tokens as text, and the length of a line is bounded.
    @inline(__always)
    func decimal() -> UInt64? {
        guard let first, first != UInt8(ascii: "0") || count == 1 else { return nil }
        var value: UInt64 = 0
        for byte in self {
            let digit = byte &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// The bytes as text: of a false server too, so that it harms no terminal. Bytes that are not UTF-8 become U+FFFD.
    var text: String { Harmless.show(String(decoding: self, as: UTF8.self)) }
}
