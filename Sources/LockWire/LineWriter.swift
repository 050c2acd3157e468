import LockVocabulary

/// Writes one line into room that was made for it beforehand.
///
/// Invariant: what is written never goes past the room; a piece that would is a mistake of ours and stops
/// the program.
struct LineWriter {
    private let room: UnsafeMutableBufferPointer<UInt8>
    private(set) var count = 0

    fileprivate init(_ room: UnsafeMutableBufferPointer<UInt8>) { self.room = room }

    /// The place for a piece of so many bytes, which the caller fills.
    private mutating func place(_ length: Int) -> UnsafeMutablePointer<UInt8> {
        guard let base = room.baseAddress, length <= room.count - count else {
            preconditionFailure("a line is longer than the room made for it")
        }
        defer { count += length }
        return base + count
    }

    mutating func put(_ byte: UInt8) { place(1).initialize(to: byte) }

    mutating func put(_ word: StaticString) {
        let length = word.utf8CodeUnitCount
        place(length).initialize(from: word.utf8Start, count: length)
    }

    mutating func put(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            guard let start = bytes.baseAddress else { return }
            place(bytes.count).initialize(from: start, count: bytes.count)
        }
    }

    /// A number in decimal.
    mutating func put(_ number: UInt64) {
        var length = 1
        var bound: UInt64 = 10
        while number >= bound, length < 20 {
            length += 1
            bound = length < 20 ? bound * 10 : .max
        }
        let digits = place(length)
        var rest = number
        while length > 0 {
            length -= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            (digits + length).initialize(to: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit))
            rest = quotient
        }
    }

    /// A number that is known not to be negative.
    mutating func put(_ number: Int) { put(UInt64(clamping: number)) }
}

extension [UInt8] {
    /// Appends one line with its line feed, of at most so many bytes with it.
    mutating func appendLine(atMost bound: Int, _ write: (inout LineWriter) -> Void) {
        append(addingCapacity: bound) { (span: inout OutputSpan<UInt8>) in
            span.withUnsafeMutableBufferPointer { room, initialized in
                var line = LineWriter(room)
                write(&line)
                line.put(.lineFeed)
                initialized = line.count
            }
        }
    }
}

// The values that stand in lines.
extension LineWriter {
    mutating func put(_ tag: Tag) {
        put(UInt8(ascii: "#"))
        put(tag.text)
    }

    /// A tag that stands before the rest of a line, with the space after it.
    mutating func put(tag: Tag?) {
        guard let tag else { return }
        put(tag)
        put(.space)
    }

    mutating func put(_ mode: LockMode) { put(mode.word) }

    mutating func put(_ owner: OwnerID) {
        if owner.isSession { put(UInt8(ascii: "-")) } else { put(owner.text) }
    }

    mutating func put(_ note: Note) {
        if note.isEmpty { put(UInt8(ascii: "-")) } else { put(note.text) }
    }

    mutating func put(_ token: Token) { put(token.rawValue) }

    /// A token, or `-` where there is none.
    mutating func put(_ token: Token?) {
        if let token { put(token) } else { put(UInt8(ascii: "-")) }
    }

    /// A process id, or `?` for a process that cannot be seen from here.
    mutating func put(processID: Int32?) {
        if let processID { put(Int(processID)) } else { put(UInt8(ascii: "?")) }
    }

    /// A space and a name: the first field after a reply's word.
    mutating func field(_ name: LockName) {
        put(.space)
        put(name.text)
    }
}
