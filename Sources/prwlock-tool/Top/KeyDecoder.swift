/// A key of a terminal.
enum Key: Equatable {
    case up, down, left, right, pageUp, pageDown, home, end
    case enter, tab, escape, backspace
    /// Ctrl-L: draw all of the screen again.
    case redraw
    case character(Character)
}

/// Decodes the bytes that a terminal sends for keys: UTF-8, and the sequences of ECMA-48 and of xterm.
///
/// A sequence may arrive in parts. A lone ESC is a key, and also the first byte of a sequence: it is the key if nothing
/// follows soon (`flush`). A sequence that is not known is dropped as a whole, so that no part of it acts as a key.
struct KeyDecoder {
    private var bytes: [UInt8] = []

    private static let escape: UInt8 = 0x1B

    /// Whether the beginning of a sequence has arrived.
    var isIncomplete: Bool { !bytes.isEmpty }

    /// Decodes all keys that are complete.
    mutating func decode(_ new: some Sequence<UInt8>) -> [Key] {
        bytes += new
        var keys: [Key] = []
        while let (key, length) = first() {
            if let key { keys.append(key) }
            bytes.removeFirst(length)
        }
        return keys
    }

    /// Decodes what is left when nothing more has arrived for a while.
    mutating func flush() -> [Key] {
        defer { bytes = [] }
        return bytes == [Self.escape] ? [.escape] : []
    }

    /// The first key and its number of bytes; nil if it is not complete. The key is nil for bytes that mean none.
    private func first() -> (Key?, Int)? {
        guard let byte = bytes.first else { return nil }
        switch byte {
        case Self.escape: return sequence()
        case 0x0D, 0x0A: return (.enter, 1)
        case 0x09: return (.tab, 1)
        case 0x0C: return (.redraw, 1)
        case 0x08, 0x7F: return (.backspace, 1)
        case 0..<0x20: return (nil, 1)
        case 0x20..<0x7F: return (.character(Character(Unicode.Scalar(byte))), 1)
        default: return character(length: byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2)
        }
    }

    private func character(length: Int) -> (Key?, Int)? {
        let following = bytes.dropFirst().prefix { $0 & 0xC0 == 0x80 }.prefix(length - 1)
        guard following.count == length - 1 else {
            // Wait for the rest, unless another character has begun.
            return following.count == bytes.count - 1 ? nil : (nil, 1 + following.count)
        }
        guard let text = String(validating: bytes.prefix(length), as: UTF8.self) else { return (nil, length) }
        return (text.first.map(Key.character), length)
    }

    private func sequence() -> (Key?, Int)? {
        guard bytes.count > 1 else { return nil }
        switch bytes[1] {
        case UInt8(ascii: "["):
            let parameters = bytes.dropFirst(2).prefix { (0x20..<0x40).contains($0) }
            let length = 3 + parameters.count
            guard bytes.count >= length else { return nil }
            let final = bytes[length - 1]
            return (final == UInt8(ascii: "~") ? Self.numbered(parameters) : Self.lettered(final), length)
        case UInt8(ascii: "O"):
            guard bytes.count > 2 else { return nil }
            return (Self.lettered(bytes[2]), 3)
        default: return (.escape, 1)
        }
    }

    private static func lettered(_ final: UInt8) -> Key? {
        switch final {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "C"): .right
        case UInt8(ascii: "D"): .left
        case UInt8(ascii: "H"): .home
        case UInt8(ascii: "F"): .end
        case UInt8(ascii: "M"): .enter
        case UInt8(ascii: "Z"): .tab
        default: nil
        }
    }

    /// The key of `ESC [ number ~`, with or without modifiers after the number.
    private static func numbered(_ parameters: ArraySlice<UInt8>) -> Key? {
        switch String(decoding: parameters.prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self) {
        case "1", "7": .home
        case "4", "8": .end
        case "5": .pageUp
        case "6": .pageDown
        default: nil
        }
    }
}
