import CLedger
import Seeded
import Testing

@testable import Ledger

@Suite("Checks")
struct SelfCheckedTests {
    private let numbers: [UInt64] = [0, 1, 2, 77, 1 << 20, 1 << 48, (1 << 50) - 1, SelfChecked.largest]

    @Test("a word stands for its number, and not for any after one or two flipped bits")
    func words() {
        #expect(SelfChecked.factor &* SelfChecked.inverse == 1)
        for number in numbers {
            let word = SelfChecked.word(number)
            #expect(SelfChecked.number(word) == number)
            for one in 0..<64 {
                for other in 0..<64 {
                    let flipped = word ^ (1 << UInt64(one)) ^ (one == other ? 0 : 1 << UInt64(other))
                    #expect(SelfChecked.number(flipped) == nil)
                }
            }
        }
    }

    @Test("the same in 32 bits")
    func halfWords() {
        #expect(SelfChecked32.factor &* SelfChecked32.inverse == 1)
        for number: UInt32 in [0, 1, 60, 4_096, 1 << 20, SelfChecked32.largest] {
            let word = SelfChecked32.word(number)
            #expect(SelfChecked32.number(word) == number)
            for bit in 0..<32 { #expect(SelfChecked32.number(word ^ (1 << UInt32(bit))) == nil) }
        }
    }

    @Test("the check is CRC-32C, with and without the processor's instruction")
    func check() {
        // 32 bytes of RFC 3720, appendix B.4.
        let zeros = [UInt8](repeating: 0, count: 16)
        let ones = [UInt8](repeating: 0xFF, count: 16)
        #expect(zeros.withUnsafeBytes { ledger_check(0, 0, $0.baseAddress, 16) } == 0x8A91_36AA)
        #expect(ones.withUnsafeBytes { ledger_check(.max, .max, $0.baseAddress, 16) } == 0x62A8_AB43)
        var random = SeededGenerator(seed: 1)
        for count in 0..<100 {
            let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let (one, two) = (random.next(), random.next())
            bytes.withUnsafeBytes {
                let byTable = ledger_check_by_table(one, two, $0.baseAddress, count)
                #expect(ledger_check(one, two, $0.baseAddress, count) == byTable)
            }
        }
    }

    @Test("a place of each class is the smallest that holds the bytes")
    func classes() {
        for bytes in 1...Chunk.room {
            let sizeClass = SizeClass(holding: bytes)
            let smaller = SizeClass(number: UInt64(sizeClass.number) &- 1)
            #expect(sizeClass.placeSize >= bytes && (smaller?.placeSize ?? 0) < bytes)
        }
        #expect(SizeClass.sizes == SizeClass.sizes.sorted() && SizeClass.sizes.allSatisfy { $0 % 16 == 0 })
    }
}
