/// Cuts a stream of bytes into lines, wherever it was cut before.
///
/// Lines are looked at where they lie in the chunk; only a line that the chunk's end cuts is copied. A line ends
/// with a line feed; a carriage return before it and spaces at both ends are not part of the line, and lines with
/// nothing else in them are passed over.
///
/// Invariants:
/// 1. At most `limit` bytes are kept, whatever a peer sends.
/// 2. A line of more than `limit` bytes with its line feed is told of once, as `tooLong`, as soon as that is
///    known; what follows its line feed is read as if nothing had happened.
/// 3. What is told of such a line is its first `limit` bytes, wherever the stream was cut.
public struct LineReader: Sendable {
    public enum Line {
        /// A line that is not empty, valid only while the body runs.
        case text(UnsafeRawBufferPointer)
        /// The beginning of a line that is too long, valid only while the body runs.
        case tooLong(UnsafeRawBufferPointer)
    }

    private let limit: Int
    /// The beginning of a line that the last chunk's end cut.
    private var partial: [UInt8] = []
    /// Whether the bytes up to the next line feed belong to a line that was too long.
    private var skipping = false

    /// A reader for lines of at most so many bytes with their line feed.
    public init(limit: Int) {
        precondition(limit > 0, "a line has at least its line feed")
        self.limit = limit
    }

    /// How many bytes are kept.
    public var partialCount: Int { partial.count }

    /// Calls the body for each line that the chunk completes, until it returns false; returns how many bytes of the
    /// chunk were read. The rest of the chunk has to be given again.
    public mutating func read(_ chunk: UnsafeRawBufferPointer, _ body: (Line) -> Bool) -> Int {
        var start = 0
        while start < chunk.count {
            guard let end = chunk.offsetOfLineFeed(from: start) else {
                keep(chunk.part(start, chunk.count), body)
                return chunk.count
            }
            let piece = chunk.part(start, end)
            start = end + 1
            guard finish(piece, body) else { return start }
        }
        return start
    }

    /// A piece of which the line feed is not there yet.
    private mutating func keep(_ piece: UnsafeRawBufferPointer, _ body: (Line) -> Bool) {
        if skipping { return }
        let needed = partial.count + piece.count
        guard needed < limit else {
            skipping = true
            _ = giveBeginning(piece, body)
            return
        }
        if partial.capacity < needed { partial.reserveCapacity(min(limit, max(needed, 2 * partial.count))) }
        partial.append(contentsOf: piece)
    }

    /// A piece up to its line feed: the whole of a line, or the end of one that was begun.
    private mutating func finish(_ piece: UnsafeRawBufferPointer, _ body: (Line) -> Bool) -> Bool {
        if skipping {
            skipping = false
            return true
        }
        guard partial.count + piece.count < limit else { return giveBeginning(piece, body) }
        if partial.isEmpty { return Self.give(piece, body) }
        partial.append(contentsOf: piece)
        let whole = partial
        partial = []
        return whole.withUnsafeBytes { Self.give($0, body) }
    }

    /// Gives the body the beginning of a line that is too long; its last piece is not kept yet.
    private mutating func giveBeginning(_ piece: UnsafeRawBufferPointer, _ body: (Line) -> Bool) -> Bool {
        var beginning = partial
        partial = []
        beginning.append(contentsOf: piece.prefix(limit - beginning.count))
        return beginning.withUnsafeBytes { body(.tooLong($0)) }
    }

    /// Gives the body a line without what is passed over; an empty one is passed over itself.
    private static func give(_ line: UnsafeRawBufferPointer, _ body: (Line) -> Bool) -> Bool {
        var start = 0
        var end = line.count
        if end > 0, line[end - 1] == .carriageReturn { end -= 1 }
        while start < end, line[start] == .space { start += 1 }
        while start < end, line[end - 1] == .space { end -= 1 }
        return start == end || body(.text(line.part(start, end)))
    }
}

extension UnsafeRawBufferPointer {
    /// Where the first line feed at or after an offset stands; nil if there is none.
    ///
    /// Eight bytes at a time: the bytes that are line feeds become zero, and the lowest zero byte is the one whose
    /// high bit survives the subtraction ("Bit Twiddling Hacks", determine if a word has a zero byte).
    func offsetOfLineFeed(from start: Int) -> Int? {
        var index = start
        while index + 8 <= count {
            let eight = UInt64(littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let zeroed = eight ^ 0x0A0A_0A0A_0A0A_0A0A
            let found = (zeroed &- 0x0101_0101_0101_0101) & ~zeroed & 0x8080_8080_8080_8080
            if found != 0 { return index + found.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < count {
            if self[index] == .lineFeed { return index }
            index += 1
        }
        return nil
    }
}
