/// Splits a stream of bytes into lines, however the stream arrives in chunks.
///
/// The body reads lines in place. Only a line that continues in the next chunk is copied. A line ends with a line
/// feed. A carriage return before the line feed and spaces at both ends are not part of the line. Empty lines are
/// skipped.
///
/// Invariants:
/// 1. The reader keeps at most `limit` bytes, whatever the peer sends.
/// 2. It reports a line of more than `limit` bytes, line feed included, once, as `tooLong`, as soon as it knows. It
///    reads the line after that as usual.
/// 3. The report has the first `limit` bytes of the line, however the stream arrived.
public struct LineReader: Sendable {
    public enum Line {
        /// A line that is not empty. Valid only while the body runs.
        case text(UnsafeRawBufferPointer)
        /// The beginning of a line that is too long. Valid only while the body runs.
        case tooLong(UnsafeRawBufferPointer)

        /// The number of bytes, without the line feed.
        public var count: Int {
            switch self {
            case .text(let line), .tooLong(let line): line.count
            }
        }

        /// A copy of the line, with its line feed, to be read again.
        public var bytes: [UInt8] {
            switch self {
            case .text(let line), .tooLong(let line): Array(line) + [.lineFeed]
            }
        }
    }

    private let limit: Int
    /// The beginning of the line that continues in the next chunk.
    private var partial: [UInt8] = []
    /// Whether the bytes up to the next line feed belong to a line that was too long.
    private var skipping = false

    /// A reader for lines of at most `limit` bytes, line feed included.
    public init(limit: Int) {
        precondition(limit > 0, "a line has at least its line feed")
        self.limit = limit
    }

    /// What a reader keeps between two chunks.
    public struct Rest: Sendable, Equatable {
        /// The beginning of the line that continues in the next chunk.
        public var partial: [UInt8]
        /// Whether the bytes up to the next line feed belong to a line that was too long.
        public var isSkipping: Bool

        public init(partial: [UInt8], isSkipping: Bool) {
            self.partial = partial
            self.isSkipping = isSkipping
        }
    }

    /// A reader that goes on where another one ended. A line that has begun may be as long as it is.
    public init(limit: Int, goingOnWith rest: Rest) {
        self.init(limit: max(limit, rest.partial.count + 1))
        partial = rest.partial
        skipping = rest.isSkipping
    }

    public var rest: Rest { Rest(partial: partial, isSkipping: skipping) }

    /// Whether the reader is between two lines.
    public var isAtLineStart: Bool { partial.isEmpty && !skipping }

    /// The number of bytes that the reader keeps.
    public var partialCount: Int { partial.count }

    /// Calls the body with each line that the chunk completes, until the body returns false. Returns how many bytes of
    /// the chunk were read; the caller must pass the others again.
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

    /// The line that begins at `start`, if the chunk has all of it, and where the next one begins.
    ///
    /// For a reader between two lines. The line may be empty; nil if the reader has to read it: it continues in the next chunk,
    /// or is too long. Most lines arrive whole, and this spares them a closure.
    public static func wholeLine(
        in chunk: UnsafeRawBufferPointer, from start: Int, limit: Int
    ) -> (text: UnsafeRawBufferPointer, end: Int)? {
        guard let end = chunk.offsetOfLineFeed(from: start), end - start < limit else { return nil }
        return (trim(chunk.part(start, end)), end + 1)
    }

    /// The most bytes of a line, line feed included.
    public var lineLimit: Int { limit }

    /// Reads a piece that has no line feed yet.
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

    /// Reads a piece up to its line feed: a whole line, or the end of one.
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

    /// Calls the body with the beginning of a line that is too long. `piece` is not part of `partial` yet.
    private mutating func giveBeginning(_ piece: UnsafeRawBufferPointer, _ body: (Line) -> Bool) -> Bool {
        var beginning = partial
        partial = []
        beginning.append(contentsOf: piece.prefix(limit - beginning.count))
        return beginning.withUnsafeBytes { body(.tooLong($0)) }
    }

    /// Calls the body with a line without its carriage return and outer spaces, unless nothing is left.
    private static func give(_ line: UnsafeRawBufferPointer, _ body: (Line) -> Bool) -> Bool {
        let text = trim(line)
        return text.isEmpty || body(.text(text))
    }

    /// The line without its carriage return and outer spaces.
    @inline(__always)
    private static func trim(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var start = 0
        var end = line.count
        if end > 0, line[end - 1] == .carriageReturn { end -= 1 }
        while start < end, line[start] == .space { start += 1 }
        while start < end, line[end - 1] == .space { end -= 1 }
        return line.part(start, end)
    }
}

extension UnsafeRawBufferPointer {
    /// The offset of the first line feed at or after `start`; nil if there is none.
    ///
    /// It reads eight bytes at a time. XOR turns each line feed into zero. The subtraction sets the high bit of the
    /// lowest zero byte ("Bit Twiddling Hacks", determine if a word has a zero byte).
    @inline(__always)
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
