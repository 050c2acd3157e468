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
        var length = 1
        var bound: UInt64 = 10
        while number >= bound, length < 20 {
            length += 1
            bound = length < 20 ? bound * 10 : .max
        }
        guard let digits = place(length) else { return }
        var rest = number
        while length > 0 {
            length -= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            (digits + length).initialize(to: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit))
            rest = quotient
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
                    var line = LineWriter(bytes)
                    write(&line)
                    line.put(word: "\n")
                    isWritten = line.fits
                    initialized = isWritten ? line.count : 0
                    room = line.count
                }
            }
        } while !isWritten
    }
}
