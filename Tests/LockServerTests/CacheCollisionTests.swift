import LockVocabulary
import Testing

@testable import LockServer

@Suite("What the cache policy remembers of many owners") struct CacheCollisionTests {
    /// Owners of 100 sessions, ten each, which take turns.
    @Test("of 1,000 owners that take turns, hardly one is forgotten before its second turn")
    func turns() throws {
        let name = try #require(LockName(encoding: "jobs"))
        var policy = CachePolicy()
        policy.begin()
        var cached = 0
        for turn in 0..<2 {
            for number in UInt32(0)..<1_000 {
                let session = SessionID(slot: number / 10, serial: number / 10 + 1)
                let owner = try #require(OwnerID("o\(number % 10)"))
                let isCached = policy.note(name, .read, by: session, owner, isGranted: true)
                #expect(turn == 1 || !isCached)
                cached += isCached ? 1 : 0
            }
        }
        #expect(cached >= 990)
    }
}
