import LockVocabulary

/// The output of one session in facts, where it is more than a little.
///
/// A fact is written anew when what it describes changes. If all unread output of a session were one fact, each line for a
/// session that does not read would cost as much as all lines before. So the output is divided at multiples of a size, by its
/// bytes since the session began. Only the last piece is written anew, and pieces that were sent are removed.
struct OutputPieces {
    /// The slots of the pieces, from the one with the number `first` on.
    private(set) var slots: [UInt32] = []
    private var first: UInt64 = 0
    /// How far the facts go, in bytes since the session began.
    private var end: UInt64 = 0

    /// Writes the pieces that have changed.
    ///
    /// - Parameters:
    ///   - output: what is not sent.
    ///   - position: the bytes before it since the session began.
    ///   - give: takes the slot of a piece, with its position and its bytes; nil for a piece that is gone.
    mutating func update(
        _ output: ArraySlice<UInt8>, at position: UInt64, size: Int, _ pool: inout SlotPool,
        _ give: (UInt32, (start: UInt64, bytes: ArraySlice<UInt8>)?) -> Void
    ) {
        let size = UInt64(size)
        let newEnd = position + UInt64(output.count)
        while let slot = slots.first, output.isEmpty || first < position / size {
            slots.removeFirst()
            first += 1
            pool.give(slot)
            give(slot, nil)
        }
        guard !output.isEmpty else { return }
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
            let offset = output.startIndex - Int(position)
            give(slots[index], (start, output[offset + Int(start)..<offset + Int(stop)]))
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
    mutating func write(_ piece: (start: UInt64, bytes: ArraySlice<UInt8>), ofSessionAt slot: UInt32) {
        write(slot)
        write(piece.start)
        write(piece.bytes)
    }
}

/// A piece of the output that a former server had not sent.
struct FormerPiece {
    let session: UInt32
    let start: UInt64
    let bytes: [UInt8]

    init(_ reader: inout FactReader) throws(UnreadableFact) {
        session = try reader.number32()
        start = try reader.number()
        bytes = Array(try reader.data())
    }

    /// Puts pieces of one session together to the output from a position on; nil if one is missing.
    static func join(_ pieces: [FormerPiece], from position: UInt64) -> [UInt8]? {
        var output: [UInt8] = []
        for piece in pieces.sorted(by: { $0.start < $1.start }) {
            let end = position + UInt64(output.count)
            guard piece.start <= end, end - piece.start <= UInt64(piece.bytes.count) else { return nil }
            output += piece.bytes[Int(end - piece.start)...]
        }
        return output
    }
}
