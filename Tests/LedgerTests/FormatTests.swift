import Seeded
import Testing

@testable import Ledger
import LedgerSupport

/// Holds the format to an image of each version, and readers to what README.md promises.
@Suite("Format")
struct FormatTests {
    /// What `Image.version1` has.
    private var expected: Snapshot {
        var expected = Snapshot()
        expected.facts = [
            FactKey(kind: 1, slot: 0): .init(bytes: text("alpha"), sent: nil),
            FactKey(kind: 1, slot: 70_000): .init(bytes: text("gamma, after a change"), sent: nil),
            FactKey(kind: 2, slot: 3): .init(bytes: text("OK 17 some reply\n"), sent: 6),
            FactKey(kind: 9, slot: 1): .init(bytes: [], sent: nil),
        ]
        expected.input = [
            .init(session: 0xABCD_EF01_2345_6789, bytes: text("ACQUIRE a\n")),
            .init(session: 2, bytes: text("REL")),
        ]
        expected.notes[0] = 42
        expected.notes[7] = .max
        return expected
    }

    private func text(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// Writes what `expected` says, and is killed in the midst of a batch.
    private func write(_ memory: TestMemory) throws {
        var ledger = try memory.ledger()
        func set(_ kind: UInt8, _ slot: UInt32, _ value: String, sent: UInt32? = nil) {
            let isSet = text(value).withUnsafeBytes {
                ledger.set(FactKey(kind: kind, slot: slot), $0, sent: sent)
            }
            #expect(isSet)
        }
        set(1, 0, "alpha")
        set(1, 70_000, "gamma")
        set(1, 5, "gone")
        ledger.commit()
        ledger.remove(FactKey(kind: 1, slot: 5))
        set(1, 70_000, "gamma, after a change")
        set(2, 3, "OK 17 some reply\n", sent: 0)
        set(9, 1, "")
        ledger.setNote(0, 41)
        ledger.commit()
        ledger.setSent(FactKey(kind: 2, slot: 3), 6)
        ledger.setNote(0, 42)
        ledger.setNote(7, .max)
        _ = ledger.beginInput(session: 0xABCD_EF01_2345_6789, room: 96).map {
            $0.copyBytes(from: text("ACQUIRE a\n"))
        }
        ledger.endInput(count: 10)
        set(1, 6, "never committed")
        ledger.remove(FactKey(kind: 1, slot: 0))
        _ = ledger.beginInput(session: 2, room: 96).map { $0.copyBytes(from: text("REL")) }
    }

    @Test("the image of version 1 is read as it was meant")
    func reading() {
        #expect(Snapshot(recoveredFrom: Image.memory(Image.version1)) == expected)
    }

    @Test("the same history writes the same image")
    func writing() throws {
        let memory = TestMemory()
        try write(memory)
        #expect(Snapshot(recoveredFrom: memory.copy()) == expected)
        let image = Image.text(memory)
        #expect(image == Image.version1, "\(image)")
    }

    @Test("a reader accepts any minor number of its major number, and no other major number")
    func versions() {
        for (major, minor) in [(1, 0), (1, 1), (1, 65_535), (2, 0), (0, 0)] as [(UInt64, UInt64)] {
            let memory = Image.memory(Image.version1)
            memory.bytes.storeBytes(
                of: SelfChecked.word(major << 16 | minor), toByteOffset: Header.versionOffset, as: UInt64.self
            )
            switch Ledger.recover(memory.memory, reserve: 0) {
            case .believed: #expect(major == 1)
            case .doubted(let doubt): #expect(doubt == .version(major))
            }
        }
    }

    @Test("memory that never had a ledger, or too little of one, is not believed")
    func none() {
        #expect(Snapshot(recoveredFrom: TestMemory()) == nil)
        let whole = Image.memory(Image.version1)
        for count in [0, 8, 4_095, 4_096, 65_536, whole.byteCount - 65_536, whole.byteCount - 1] {
            let part = TestMemory(byteCount: count, limit: (count + 4_095) & ~4_095)
            part.base.copyMemory(from: whole.base, byteCount: count)
            // The image ends with the chunk of the reserve, which a ledger can be without.
            let used = 3 << 16
            #expect(count >= used || Snapshot(recoveredFrom: part) == nil, "\(count) bytes")
        }
    }

    @Test("two places with one fact are not believed, and neither is a fact without one of its pieces")
    func whole() throws {
        let twice = Image.memory(Image.version1)
        twice.bytes[0x10050..<0x10070].copyBytes(from: twice.bytes[0x10010..<0x10030])
        #expect(doubt(twice) == .twice(FactKey(kind: 1, slot: 0)))

        let memory = TestMemory()
        var ledger = try memory.ledger()
        let key = FactKey(kind: 4, slot: 4)
        let isSet = [UInt8](repeating: 1, count: 150_000).withUnsafeBytes { ledger.set(key, $0) }
        ledger.commit()
        #expect(isSet && doubt(memory.copy()) == nil)
        for chunk in 1...3 {
            let part = memory.copy()
            part.bytes.storeBytes(of: 0, toByteOffset: chunk << 16 + Chunk.headerSize, as: UInt64.self)
            #expect(doubt(part) == .pieces(key))
        }
    }

    @Test("a length beyond the place is not believed, and not read")
    func length() {
        let whole = Image.memory(Image.version1)
        // Without the chunk of the reserve, so that such a length reaches beyond the memory.
        let memory = TestMemory(byteCount: 3 << 16, limit: 3 << 16)
        memory.base.copyMemory(from: whole.base, byteCount: 3 << 16)
        #expect(doubt(memory) == nil)
        for length: UInt16 in [61, 64, 65_535] {
            memory.base.copyMemory(from: whole.base, byteCount: 3 << 16)
            memory.bytes.storeBytes(of: length, toByteOffset: 0x20010 + 14, as: UInt16.self)
            #expect(doubt(memory) == .place(0x20010))
        }
    }

    private func doubt(_ memory: TestMemory) -> Doubt? {
        switch Ledger.recover(memory.memory, reserve: 0) {
        case .believed: nil
        case .doubted(let doubt): doubt
        }
    }

    @Test("a hostile ledger is refused or read, within its memory", arguments: SeededGenerator.newSeeds)
    func hostile(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let numbers: [UInt64] = [0, 1, 2, 3, 4, 8, 255, 65_535, 1 << 20, 1 << 30, 1 << 48]
        var places = [16, 24, 32, 40, 48, 64, 4_096, 4_104, 4_112, 4_120]
        for chunk in 1...3 {
            for offset in [0, 16, 24, 44, 48, 56, 64] { places.append(chunk << 16 + offset) }
        }
        for _ in 0..<150 {
            let memory = Image.memory(Image.version1)
            for _ in 0..<random.number(1...3) {
                let number: UInt64 = random.pick(numbers) + random.next() % 3
                let word = random.happens(70) ? SelfChecked.word(number) : random.next()
                memory.bytes.storeBytes(of: word, toByteOffset: random.pick(places), as: UInt64.self)
                resealPlaces(memory)
            }
            _ = Snapshot(recoveredFrom: memory)
        }
    }

    /// Corrects the check of each place that has a possible length. So recovery gets past the check, to what it tests next.
    private func resealPlaces(_ memory: TestMemory) {
        for chunk in stride(from: 1 << 16, to: memory.byteCount, by: 1 << 16) {
            guard let number = SelfChecked.number(memory.bytes.load(fromByteOffset: chunk, as: UInt64.self)),
                let sizeClass = SizeClass(number: number &- 1)
            else { continue }
            for offset in [chunk + 16, chunk + 16 + sizeClass.placeSize] {
                let title = PieceTitle(word: memory.bytes.load(fromByteOffset: offset + 8, as: UInt64.self))
                let state = PlaceState(word: memory.bytes.load(fromByteOffset: offset, as: UInt64.self))
                guard let state, title.length <= sizeClass.placeSize - 24 else { continue }
                let bytes = UnsafeRawBufferPointer(
                    rebasing: memory.bytes[offset + 16..<offset + 16 + title.length])
                let check = Place.check(born: min(state.born, 1 << 48), title, bytes)
                memory.bytes.storeBytes(
                    of: check, toByteOffset: offset + sizeClass.placeSize - 4, as: UInt32.self)
            }
        }
    }
}
