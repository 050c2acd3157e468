/// The sizes of places. All places of a chunk have the same size.
///
/// Sizes are multiples of 16: each one from 32 to 512, then those of which a chunk holds 100, 80, … 2, 1.
struct SizeClass: Equatable, BitwiseCopyable {
    let number: UInt8

    private static let finest = 32
    private static let fineBound = 512
    private static let fineCount = (fineBound - finest) / 16 + 1
    private static let coarse = [100, 80, 64, 50, 40, 32, 25, 20, 16, 12, 10, 8, 6, 5, 4, 3, 2, 1].map {
        Chunk.room / $0 / 16 * 16
    }
    /// The size of the places of each class, ascending.
    static let sizes: [Int] = (0..<fineCount).map { finest + 16 * $0 } + coarse
    static let count = sizes.count

    /// The class with this number; nil if there is none.
    init?(number: UInt64) {
        guard number < UInt64(Self.count) else { return nil }
        self.number = UInt8(number)
    }

    /// The class of the smallest places with so many bytes.
    @inline(__always)
    init(holding byteCount: Int) {
        if byteCount <= Self.fineBound {
            number = UInt8(truncatingIfNeeded: (max(byteCount, Self.finest) - Self.finest + 15) / 16)
        } else {
            guard let index = Self.sizes.firstIndex(where: { $0 >= byteCount }) else {
                preconditionFailure("no place is so large")
            }
            number = UInt8(index)
        }
    }

    /// The bytes of a place.
    var placeSize: Int { Self.sizes[Int(number)] }
    /// The places of a chunk.
    var placeCount: Int { Chunk.room / placeSize }
}

/// A part of the memory in which all places have one size.
enum Chunk {
    static let byteCount = 1 << 16
    /// The header, which names the class of the places.
    static let headerSize = 16
    /// The bytes for places.
    static let room = byteCount - headerSize
    /// The places of a chunk with the smallest ones, rounded up to whole words of a bitmap.
    static let bitmapWords = 32
}
