/// The bytes of names and notes, and the spelling of all other bytes.
public enum NameAlphabet {
    /// Whether a byte stands for itself. `%` does not: it begins an encoded byte.
    public static func contains(_ byte: UInt8) -> Bool {
        // A bit set, because every byte of every name is checked.
        let bits = byte < 64 ? low : byte < 128 ? high : 0
        return bits >> (byte & 63) & 1 == 1
    }

    /// The bits of `+ - . / 0-9 :`.
    private static var low: UInt64 { 0x07FF_E800_0000_0000 }
    /// The bits of `@ A-Z _ a-z ~`, with 64 subtracted from each code.
    private static var high: UInt64 { 0x47FF_FFFE_87FF_FFFF }

    /// Whether each of eight bytes is a letter, a digit or one of `- . / :`, so that it stands for itself.
    ///
    /// Each byte is added to so that its highest bit says whether it reaches a bound. Without its own highest bit there is no carry.
    @inline(__always)
    private static func areUsual(_ eight: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highest = ones &* 0x80
        func reach(_ bound: UInt8, _ bytes: UInt64) -> UInt64 { bytes &+ ones &* UInt64(0x80 - bound) }
        let codes = eight & ~highest
        // `- . / 0-9 :` are in a row.
        let signs = reach(UInt8(ascii: "-"), codes) & ~reach(UInt8(ascii: ":") + 1, codes)
        // This bit makes small letters of capitals, and of no other byte.
        let small = codes | ones &* 0x20
        let letters = reach(UInt8(ascii: "a"), small) & ~reach(UInt8(ascii: "z") + 1, small)
        return (signs | letters) & ~eight & highest == highest
    }

    /// Whether the bytes are a text of one byte or more in its only spelling.
    public static func isWellFormed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !bytes.isEmpty else { return false }
        var index = 0
        // Most names have no other bytes.
        if bytes.count >= 8 {
            while index + 8 <= bytes.count,
                areUsual(bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            {
                index += 8
            }
            // The last eight, of which some were looked at before.
            if index < bytes.count, index + 8 > bytes.count,
                areUsual(bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self))
            {
                return true
            }
        }
        while index < bytes.count {
            let byte = bytes[index]
            if contains(byte) {
                index += 1
            } else if byte == UInt8(ascii: "%"), index + 2 < bytes.count,
                let high = hexValue(bytes[index + 1]), let low = hexValue(bytes[index + 2]),
                !contains(high << 4 | low)
            {
                index += 3
            } else {
                return false
            }
        }
        return true
    }

    /// The spelling of a plain text.
    public static func encode(_ text: String) -> String { encode(text.utf8) }

    /// The spelling of plain bytes, which need not be UTF-8.
    public static func encode(_ plain: some Sequence<UInt8>) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(plain.underestimatedCount)
        for byte in plain {
            if contains(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), hexDigit(byte >> 4), hexDigit(byte & 15)]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The plain text of a spelling; a `%` that begins no encoded byte stands for itself.
    ///
    /// Bytes that are not UTF-8 are replaced (U+FFFD), so this is for display only.
    public static func decode(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        return String(decoding: decodeBytes(text), as: UTF8.self)
    }

    /// The plain bytes of a spelling; a `%` that begins no encoded byte stands for itself.
    public static func decodeBytes(_ text: String) -> [UInt8] {
        let spelled = Array(text.utf8)
        var bytes: [UInt8] = []
        var index = 0
        while index < spelled.count {
            if spelled[index] == UInt8(ascii: "%"), index + 2 < spelled.count,
                let high = hexValue(spelled[index + 1]), let low = hexValue(spelled[index + 2])
            {
                bytes.append(high << 4 | low)
                index += 3
            } else {
                bytes.append(spelled[index])
                index += 1
            }
        }
        return bytes
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }
}

extension String {
    /// A string from ASCII bytes.
    init(asciiBytes bytes: UnsafeRawBufferPointer) {
        self.init(unsafeUninitializedCapacity: bytes.count) { buffer in
            UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
            return bytes.count
        }
    }
}
