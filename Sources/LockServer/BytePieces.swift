import LockVocabulary

/// A stream of bytes in facts, where it is more than a little: the output of a session, or the input that is not carried out.
///
/// A fact is written anew when what it describes changes. If all unread output of a session were one fact, each line for a
/// session that does not read would cost as much as all lines before. So a stream is divided at multiples of a size, by the
/// bytes since the session began. Only the last piece is written anew, and pieces that are used up are removed.
struct BytePieces {
    enum Stream: UInt64 {
        case output = 0
        case input
    }

    /// A part of the bytes that are left of a stream.
    struct Part {
        /// Its position since the session began.
        let start: UInt64
        /// Its place in what is left.
        let range: Range<Int>
    }

    /// What is left of a stream, in two parts. Valid only while the body runs that gets it.
    struct Rest {
        let first: UnsafeRawBufferPointer
        let second: UnsafeRawBufferPointer

        init(
            _ first: UnsafeRawBufferPointer,
            _ second: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
        ) {
            self.first = first
            self.second = second
        }
    }

    /// The slots of the pieces, from the one with the number `first` on.
    private(set) var slots: [UInt32] = []
    private var first: UInt64 = 0
    /// How far the facts go, in bytes since the session began.
    private var end: UInt64 = 0
    /// Whether the bytes have changed in another way than at their ends, so that all pieces are written anew.
    private var isStale = false

    mutating func restart() { isStale = true }

    /// Writes the pieces that have changed.
    ///
    /// - Parameters:
    ///   - count: how many bytes are left of the stream.
    ///   - position: the bytes before them since the session began.
    ///   - give: takes the slot of a piece, and what it is; nil for a piece that is gone.
    mutating func update(
        count: Int, at position: UInt64, size: Int, _ pool: inout SlotPool, _ give: (UInt32, Part?) -> Void
    ) {
        let size = UInt64(size)
        let newEnd = position + UInt64(count)
        while let slot = slots.first, isStale || count == 0 || first < position / size {
            slots.removeFirst()
            first += 1
            pool.give(slot)
            give(slot, nil)
        }
        isStale = false
        guard count > 0 else { return }
        if slots.isEmpty {
            first = position / size
            end = first * size
        }
        var number = end / size
        while number * size < newEnd {
            let start = max(number * size, position)
            let stop = min((number + 1) * size, newEnd)
            let index = Int(number - first)
            if index == slots.count { slots.append(pool.take()) }
            give(slots[index], Part(start: start, range: Int(start - position)..<Int(stop - position)))
            number += 1
        }
        end = newEnd
    }
}

/// The numbers from zero on that are in use as slots.
struct SlotPool {
    private var free: [UInt32] = []
    private var next: UInt32 = 0

    mutating func take() -> UInt32 {
        if let slot = free.popLast() { return slot }
        defer { next += 1 }
        return next
    }

    mutating func give(_ slot: UInt32) { free.append(slot) }
}

extension FactWriter {
    mutating func write(
        _ part: BytePieces.Part, of stream: BytePieces.Stream, _ rest: BytePieces.Rest,
        ofSessionAt slot: UInt32
    ) {
        write(slot)
        write(stream.rawValue)
        write(part.start)
        write(part.range.count)
        let count = rest.first.count
        let first = part.range.clamped(to: 0..<count)
        let second = max(0, part.range.lowerBound - count)..<max(0, part.range.upperBound - count)
        append(UnsafeRawBufferPointer(rebasing: rest.first[first]))
        append(UnsafeRawBufferPointer(rebasing: rest.second[second]))
    }
}

/// A piece of the bytes that a former server had not sent, or not carried out.
struct FormerPiece {
    /// Which bytes.
    struct Whole: Hashable {
        let session: UInt32
        let stream: BytePieces.Stream
    }

    let whole: Whole
    let start: UInt64
    let bytes: [UInt8]

    init(_ reader: inout FactReader) throws(UnreadableFact) {
        let session = try reader.number32()
        guard let stream = BytePieces.Stream(rawValue: try reader.number()) else { throw UnreadableFact() }
        whole = Whole(session: session, stream: stream)
        start = try reader.number()
        bytes = Array(try reader.data())
    }

    /// Puts the pieces of a stream together, from a position on; nil if one is missing.
    static func join(_ pieces: [FormerPiece], from position: UInt64) -> [UInt8]? {
        var joined: [UInt8] = []
        for piece in pieces.sorted(by: { $0.start < $1.start }) {
            let end = position + UInt64(joined.count)
            guard piece.start <= end, end - piece.start <= UInt64(piece.bytes.count) else { return nil }
            joined += piece.bytes[Int(end - piece.start)...]
        }
        return joined
    }
}
