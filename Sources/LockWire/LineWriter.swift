import LockVocabulary

/// Writes one line into room of a fixed size.
///
/// Pieces that do not fit are counted and not written, so that the caller knows how much room the line needs.
struct LineWriter {
    private let room: UnsafeMutableBufferPointer<UInt8>
    /// The bytes of the line so far, those that did not fit included.
    private(set) var count = 0

    fileprivate init(_ room: UnsafeMutableBufferPointer<UInt8>) { self.room = room }

    fileprivate var fits: Bool { count <= room.count }

    /// The place of a piece of so many bytes, which the caller fills; nil if the piece does not fit.
    @inline(__always)
    private mutating func place(_ length: Int) -> UnsafeMutablePointer<UInt8>? {
        let start = count
        count += length
        guard fits, let base = room.baseAddress else { return nil }
        return base + start
    }

    mutating func put(_ word: StaticString) { put(word: word) }

    /// The same where the word is known to the compiler: its bytes are then a few stores.
    @inline(__always)
    mutating func put(word: StaticString) {
        let length = word.utf8CodeUnitCount
        place(length)?.initialize(from: word.utf8Start, count: length)
    }

    mutating func put(text: String) {
        let isWritten: Void? = text.utf8.withContiguousStorageIfAvailable { put($0) }
        guard isWritten == nil else { return }
        var text = text
        text.withUTF8 { put($0) }
    }

    @inline(__always)
    private mutating func put(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let start = bytes.baseAddress else { return }
        place(bytes.count)?.initialize(from: start, count: bytes.count)
    }

    /// Writes a number in decimal.
    mutating func put(number: UInt64) {
        let (upper, lower) = number.quotientAndRemainder(dividingBy: 100_000_000)
        let digits = Self.eightDigits(lower)
        guard upper == 0 else {
            put(number: upper)
            return put(digits, from: 0)
        }
        // A zero is one digit.
        put(digits, from: min(7, digits.trailingZeroBitCount / 8))
    }

    /// The eight decimal digits of a number below 100 million, the first one in the lowest byte.
    ///
    /// It divides in all parts of a word at once: into two numbers of four digits, four of two, and eight of one. A product
    /// with 10,486 and a shift by 20 divide by 100, a product with 103 and a shift by 10 divide by 10.
    @inline(__always)
    private static func eightDigits(_ number: UInt64) -> UInt64 {
        let (upper, lower) = number.quotientAndRemainder(dividingBy: 10_000)
        let fours = upper | lower << 32
        let hundreds = (fours &* 10_486) >> 20 & 0x0000_007F_0000_007F
        let twos = hundreds | (fours &- 100 &* hundreds) << 16
        let tens = (twos &* 103) >> 10 & 0x000F_000F_000F_000F
        return tens | (twos &- 10 &* tens) << 8
    }

    /// Writes the digits from one on.
    @inline(__always)
    private mutating func put(_ digits: UInt64, from first: Int) {
        var rest = (digits | 0x3030_3030_3030_3030) >> UInt64(8 * first)
        let length = 8 - first
        if count + 8 <= room.count, let base = room.baseAddress {
            // What follows is written over the bytes behind the digits.
            UnsafeMutableRawPointer(base + count).storeBytes(of: rest.littleEndian, as: UInt64.self)
            count += length
            return
        }
        guard let place = place(length) else { return }
        for index in 0..<length {
            (place + index).initialize(to: UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    mutating func put(_ value: some Spelled) { value.spell(into: &self) }

    /// Writes a field: a key with the space before it and the sign behind it, and a value.
    mutating func put(_ key: StaticString, _ value: some Spelled) {
        put(key)
        put(value)
    }

    /// Writes the tag of a request, with the space that separates it from the rest of the line.
    mutating func put(tag: Tag?) {
        guard let tag else { return }
        put(tag)
        put(" ")
    }
}

extension UnsafeMutableBufferPointer<UInt8> {
    /// Writes one line with its line feed, if it fits. Returns its length in any case.
    @inline(__always)
    func writeLine(_ write: (inout LineWriter) -> Void) -> Int {
        var line = LineWriter(self)
        write(&line)
        line.put(word: "\n")
        return line.count
    }
}

extension [UInt8] {
    /// Appends one line with its line feed.
    ///
    /// Nearly every line fits into the first room. One that does not is written again, into as much as it needs.
    @inline(__always)
    mutating func appendLine(_ write: (inout LineWriter) -> Void) {
        var room = 256
        var isWritten = false
        repeat {
            append(addingCapacity: room) { (span: inout OutputSpan<UInt8>) in
                span.withUnsafeMutableBufferPointer { bytes, initialized in
                    room = bytes.writeLine(write)
                    isWritten = room <= bytes.count
                    initialized = isWritten ? room : 0
                }
            }
        } while !isWritten
    }
}
