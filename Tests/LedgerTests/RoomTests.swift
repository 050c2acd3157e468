import Ledger
import LedgerSupport
import Testing

@Suite("Room")
struct RoomTests {
    private let bytes = [UInt8](repeating: 7, count: 60)

    private func set(_ ledger: inout Ledger, _ slot: Int, _ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { ledger.set(FactKey(kind: 1, slot: UInt32(slot)), $0) }
    }

    @Test("100,000 facts of 60 bytes fit in 8.5 MB")
    func size() throws {
        let memory = TestMemory(limit: 16 << 20)
        var ledger = try memory.ledger()
        for slot in 0..<100_000 { #expect(set(&ledger, slot, bytes)) }
        ledger.commit()
        #expect(memory.byteCount <= 8_500_000)
        guard case .believed(let heir) = Ledger.recover(memory.copy().memory, reserve: 0) else {
            throw Doubt.noLedger
        }
        var count = 0
        heir.forEachFact { count += $0.bytes.count }
        #expect(count == 6_000_000)
    }

    @Test(
        "a ledger whose memory cannot grow says so while the reserve is left, then refuses, and goes on after removals"
    )
    func full() throws {
        let memory = TestMemory()
        memory.bound = 8 << 16
        var ledger = try memory.ledger(reserve: 2 << 16)
        var slot = 0
        while ledger.hasRoom {
            #expect(set(&ledger, slot, bytes))
            ledger.commit()
            slot += 1
        }
        let withReserve = slot
        while set(&ledger, slot, bytes) { slot += 1 }
        // The reserve is two chunks.
        #expect(slot - withReserve >= 2 * 800)
        let isLongSet = set(&ledger, 100_000, [UInt8](repeating: 1, count: 200_000))
        #expect(!isLongSet)
        ledger.commit()
        #expect(Snapshot(recoveredFrom: memory.copy())?.facts.count == slot)
        for removed in 0..<slot { ledger.remove(FactKey(kind: 1, slot: UInt32(removed))) }
        // The places of this batch are not free before its commit.
        let isSetTooEarly = set(&ledger, 0, bytes)
        #expect(!isSetTooEarly)
        ledger.commit()
        let hasRoom = ledger.hasRoom
        #expect(hasRoom)
        #expect(Snapshot(recoveredFrom: memory.copy())?.facts.isEmpty == true)
        let isLongSetNow = set(&ledger, 100_000, [UInt8](repeating: 1, count: 200_000))
        #expect(isLongSetNow)
    }

    @Test("a reserve that could not be had is asked for again")
    func laterGrowth() throws {
        let memory = TestMemory()
        memory.bound = 2 << 16
        var ledger = try memory.ledger(reserve: 2 << 16)
        var hasRoom = ledger.hasRoom
        #expect(!hasRoom)
        memory.bound = 3 << 16
        ledger.commit()
        hasRoom = ledger.hasRoom
        #expect(hasRoom)
    }

    @Test("chunks that became empty serve facts of other sizes")
    func otherSizes() throws {
        let memory = TestMemory()
        memory.bound = 12 << 16
        var ledger = try memory.ledger(reserve: 1 << 16)
        for length in [10, 100, 1_000, 10_000, 60_000, 300, 20, 200_000, 64] {
            let count = min(8_000, 400_000 / length)
            for slot in 0..<count {
                #expect(set(&ledger, slot, [UInt8](repeating: 9, count: length)))
            }
            ledger.commit()
            let copy = try #require(Snapshot(recoveredFrom: memory.copy()))
            #expect(copy.facts.count == count)
            #expect(copy.facts.values.allSatisfy { $0.bytes.count == length })
            for slot in 0..<count { ledger.remove(FactKey(kind: 1, slot: UInt32(slot))) }
            ledger.commit()
        }
    }

    @Test("a kill while a chunk is given to another size leaves the facts as they are")
    func killsWhileGiven() throws {
        let memory = TestMemory()
        memory.bound = 4 << 16
        var ledger = try memory.ledger(reserve: 0)
        var slot = 0
        while set(&ledger, slot, [UInt8](repeating: 0xA5, count: 2_000)) { slot += 1 }
        ledger.commit()
        for removed in 1..<slot { ledger.remove(FactKey(kind: 1, slot: UInt32(removed))) }
        ledger.commit()
        let expected = Snapshot(of: ledger)
        #expect(expected.facts.count == 1)
        var kills = 0
        ledger.beforeStore = {
            kills += 1
            #expect(Snapshot(recoveredFrom: memory.copy()) == expected, "store \(kills)")
        }
        let isSet = set(&ledger, 1, [UInt8](repeating: 1, count: 500))
        ledger.beforeStore = nil
        // The states of places of another size lay within the bytes of the old facts.
        #expect(isSet && kills > 120)
    }

    @Test("memory too small for an empty ledger holds none")
    func tooSmall() {
        let memory = TestMemory()
        memory.bound = 1_000
        let isCreated = Ledger(creatingIn: memory.memory) != nil
        #expect(!isCreated)
    }
}
