/// Numbers in one word that shows whether a bit of it was changed.
///
/// This is an AN code (Diamond 1955): the word is the number times a constant prime, and a word that is no multiple of the
/// prime is no number. A flipped bit adds or subtracts a power of two, which is never a multiple of an odd prime. With these
/// primes two flipped bits are detected as well. Zero stands for zero, so fresh memory has valid words.
enum SelfChecked {
    static let factor: UInt64 = 16_381
    /// The factor times this is 1 modulo 2^64: a multiplication in the place of a division.
    static let inverse: UInt64 = 0x85CA_457B_41C7_1555
    /// The largest number with a word: a little more than 2^50.
    static let largest = UInt64.max / factor

    @inline(__always)
    static func word(_ number: UInt64) -> UInt64 {
        precondition(number <= largest, "the number is too large for its word")
        return number &* factor
    }

    @inline(__always)
    static func number(_ word: UInt64) -> UInt64? {
        let number = word &* inverse
        return number <= largest ? number : nil
    }
}

/// The same in 32 bits, for numbers up to 2^21.
enum SelfChecked32 {
    static let factor: UInt32 = 2_039
    static let inverse: UInt32 = 0xA296_E9C7
    static let largest = UInt32.max / factor

    @inline(__always)
    static func word(_ number: UInt32) -> UInt32 {
        precondition(number <= largest, "the number is too large for its word")
        return number &* factor
    }

    @inline(__always)
    static func number(_ word: UInt32) -> UInt32? {
        let number = word &* inverse
        return number <= largest ? number : nil
    }
}
