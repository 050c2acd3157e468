import Ledger
import LedgerSupport
import Testing

@Suite("Input")
struct InputTests {
    private func text(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("a kill before, within and after the read leaves what was read")
    func aroundTheRead() throws {
        let memory = TestMemory()
        var ledger = try memory.ledger()
        _ = ledger.beginInput(session: 1, room: 96).map { $0.copyBytes(from: text("first")) }
        ledger.endInput(count: 5)
        let found = ledger.beginInput(session: 2, room: 96)
        let room = try #require(found)
        let first = Snapshot.Slice(session: 1, bytes: text("first"))
        #expect(Snapshot(recoveredFrom: memory.copy())?.input == [first])
        for count in 1...9 {
            room[count - 1] = UInt8(ascii: "x")
            let second = Snapshot.Slice(session: 2, bytes: text(String(repeating: "x", count: count)))
            #expect(Snapshot(recoveredFrom: memory.copy())?.input == [first, second])
        }
    }

    @Test("what was recovered stays for further processes until it is carried out, and more may be read")
    func recoveredInput() throws {
        let memory = TestMemory()
        var ledger = try memory.ledger()
        _ = ledger.beginInput(session: 1, room: 96).map { $0.copyBytes(from: text("first")) }
        let killed = memory.copyThatGrows()
        guard case .believed(var heir) = Ledger.recover(killed.memory) else { throw Doubt.noLedger }
        _ = heir.beginInput(session: 2, room: 96).map { $0.copyBytes(from: text("second")) }
        heir.endInput(count: 6)
        let both = [
            Snapshot.Slice(session: 1, bytes: text("first")), .init(session: 2, bytes: text("second")),
        ]
        #expect(Snapshot(of: heir).input == both)
        #expect(Snapshot(recoveredFrom: killed.copy())?.input == both)
        heir.commit()
        #expect(Snapshot(recoveredFrom: killed.copy())?.input == [])
    }

    @Test("each room is zero, and there is none beyond the region or the table")
    func bounds() throws {
        let memory = TestMemory()
        var ledger = try memory.ledger()
        for _ in 0..<3 {
            var count = 0
            while let room = ledger.beginInput(session: 5, room: 100) {
                #expect(room.allSatisfy { $0 == 0 })
                room.initializeMemory(as: UInt8.self, repeating: 65)
                ledger.endInput(count: 100)
                count += 1
            }
            #expect(count == 4)
            ledger.commit()
            while ledger.beginInput(session: 6, room: 8) != nil {
                ledger.endInput(count: 1)
                count += 1
            }
            #expect(count == 12)
            ledger.commit()
        }
    }

    @Test("one changed bit of the input is noticed")
    func changedBits() throws {
        let memory = TestMemory()
        var ledger = try memory.ledger()
        for session in 1...3 as ClosedRange<UInt64> {
            _ = ledger.beginInput(session: session, room: 96).map {
                $0.copyBytes(from: text("line \(session)"))
            }
            ledger.endInput(count: 6)
        }
        let expected = try #require(Snapshot(recoveredFrom: memory.copy()))
        #expect(expected.input.count == 3)
        // The table of slices, and the slices.
        for bit in (4_096 * 8)..<(4_096 + 256 + 24) * 8 {
            let copy = memory.copy()
            copy.flip(bit: bit)
            let found = Snapshot(recoveredFrom: copy)
            #expect(found == nil || found == expected, "bit \(bit)")
        }
    }
}
