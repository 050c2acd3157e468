internal import CLedger

/// Where a piece of a fact stands: the offset in the memory divided by 16, and 0 for nowhere.
///
/// A place has these fields. README.md explains them.
///
///     0   state      born, died; a self-checked word; 0 if the place is free
///     8   title      slot, kind, piece, length
///     16  the bytes
///     -8  sent       only if the piece has `PieceTitle.countsSent`
///     -4  check      CRC-32C of the state as it was born, the title, and the bytes
struct Place: Equatable, BitwiseCopyable {
    static let none = Place(number: 0)
    static let bytesOffset = 16
    static let checkSize = 4
    static let sentSize = 4

    let number: UInt32

    @inline(__always)
    var offset: Int { Int(number) << 4 }

    /// The number of the place's chunk, counted from the begin of the memory.
    @inline(__always)
    var chunk: Int { Int(number >> 12) }

    init(number: UInt32) { self.number = number }

    @inline(__always)
    init(offset: Int) { number = UInt32(truncatingIfNeeded: offset >> 4) }

    /// The bytes that a place needs.
    @inline(__always)
    static func size(bytes: Int, countsSent: Bool) -> Int {
        bytesOffset + bytes + checkSize + (countsSent ? sentSize : 0)
    }

    /// The check word of a piece that is born in a batch.
    @inline(__always)
    static func check(born: UInt64, _ title: PieceTitle, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        ledger_check(PlaceState(born: born).word, title.word, bytes.baseAddress, bytes.count)
    }
}

/// When the piece in a place was born, and when it died.
///
/// A place that died is free after the commit of the batch in which it died, and then its state is 0. So no more than one bit
/// of the number of that batch is needed, to tell the batch under way from the one that was committed last.
struct PlaceState: Equatable, BitwiseCopyable {
    /// Numbers of batches are below this bound.
    static let batchBound: UInt64 = 1 << 48

    enum Death: UInt64 {
        case none = 0
        case inEvenBatch = 1
        case inOddBatch = 2

        init(in batch: UInt64) { self = batch & 1 == 0 ? .inEvenBatch : .inOddBatch }
    }

    let born: UInt64
    let died: Death

    init(born: UInt64, died: Death = .none) {
        self.born = born
        self.died = died
    }

    @inline(__always)
    var word: UInt64 { SelfChecked.word(born << 2 | died.rawValue) }

    /// Nil if the word is no state.
    @inline(__always)
    init?(word: UInt64) {
        guard let number = SelfChecked.number(word), let died = Death(rawValue: number & 3) else {
            return nil
        }
        self.init(born: number >> 2, died: died)
    }
}

/// Which fact and which part of it a place has.
struct PieceTitle: Equatable, BitwiseCopyable {
    /// The most bytes of a piece, and the bytes of each piece but the last.
    static let longest = Chunk.room - Place.size(bytes: 0, countsSent: true)
    static let mostPieces = (Fact.longest + longest - 1) / longest

    private static let isLastBit: UInt64 = 1 << 47
    private static let countsSentBit: UInt64 = 1 << 46

    let word: UInt64

    init(word: UInt64) { self.word = word }

    @inline(__always)
    init(_ key: FactKey, index: Int, isLast: Bool, countsSent: Bool, length: Int) {
        let parts = UInt64(key.slot) | UInt64(key.kind) << 32 | UInt64(index) << 40 | UInt64(length) << 48
        word = parts | (isLast ? Self.isLastBit : 0) | (countsSent ? Self.countsSentBit : 0)
    }

    /// Nil if the slot is out of bounds.
    var key: FactKey? {
        let slot = UInt32(truncatingIfNeeded: word)
        guard slot < FactKey.slotBound else { return nil }
        return FactKey(kind: UInt8(truncatingIfNeeded: word >> 32), slot: slot)
    }

    /// The number of the piece in its fact.
    var index: Int { Int(word >> 40 & 63) }
    var isLast: Bool { word & Self.isLastBit != 0 }
    var countsSent: Bool { word & Self.countsSentBit != 0 }
    var length: Int { Int(word >> 48) }
}
