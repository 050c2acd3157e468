import LockClaims
import LockVocabulary
import SimulatedStore
import Testing

/// What `claims` rely on in etcd, as its documents and measurements state it.
@Suite("A simulated store does as etcd does") struct SimulatedStoreTests {
    var store = SimulatedStore()
    private func second(_ number: Int64) -> Instant { Instant(nanoseconds: number * 1_000_000_000) }
    private func key(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func put(_ text: String, lease: LeaseID = 0) -> StoreOperation {
        .put(key: key(text), value: key("v"), lease: lease)
    }

    @Test("a transaction is carried out whole, at one revision, or its other branch is")
    mutating func transaction() {
        let both = Transaction(
            if: [.created(key: key("a"), at: 0)], then: [put("a"), put("b")], otherwise: [.get(key: key("a"))]
        )
        #expect(
            store.carryOut(.transaction(both), at: .zero)
                == .transaction(succeeded: true, reads: [[], []], revision: 2))
        #expect(store[key("a")]?.created == 2 && store[key("b")]?.modified == 2)
        let pair = KeyValue(key: key("a"), value: key("v"), created: 2, modified: 2)
        #expect(
            store.carryOut(.transaction(both), at: .zero)
                == .transaction(succeeded: false, reads: [[pair]], revision: 2))
    }

    @Test("a deleted key comes into being anew") mutating func deletion() {
        _ = store.carryOut(.transaction(Transaction(then: [put("a")])), at: .zero)
        _ = store.carryOut(.transaction(Transaction(then: [.delete(key: key("a"))])), at: .zero)
        _ = store.carryOut(.transaction(Transaction(then: [.delete(key: key("a"))])), at: .zero)
        #expect(store.revision == 3)
        _ = store.carryOut(.transaction(Transaction(then: [put("a")])), at: .zero)
        #expect(store[key("a")]?.created == 4)
    }

    @Test("a lease ends its keys when its time has passed since its last renewal") mutating func lease() {
        guard case .lease(let id, 10)? = store.carryOut(.grantLease(seconds: 10), at: .zero) else {
            return #expect(Bool(false))
        }
        _ = store.carryOut(.transaction(Transaction(then: [put("a", lease: id), put("b")])), at: .zero)
        #expect(store.carryOut(.keepAlive(id), at: second(6)) == .alive(seconds: 10))
        store.advance(to: second(15))
        #expect(store[key("a")] != nil)
        store.advance(to: second(16))
        #expect(store[key("a")] == nil && store[key("b")] != nil)
        #expect(store.carryOut(.keepAlive(id), at: second(16)) == .alive(seconds: 0))
        #expect(
            store.carryOut(.transaction(Transaction(then: [put("a", lease: id)])), at: second(16))
                == .refused(.leaseNotFound))
    }

    @Test("a new leader has each lease begin anew") mutating func leader() {
        _ = store.carryOut(.grantLease(seconds: 10), at: .zero)
        store.changeLeader(at: second(9))
        store.advance(to: second(18))
        #expect(store.liveLeases.count == 1)
        store.advance(to: second(19))
        #expect(store.liveLeases.isEmpty)
    }

    @Test("a watch shows each change once, and is lost if some were compacted") mutating func watch() {
        for name in ["n/a", "m/a", "n/b"] {
            _ = store.carryOut(.transaction(Transaction(then: [put(name)])), at: .zero)
        }
        var watch = store.watch(prefix: key("n/"), from: 2)
        var old = watch
        #expect(store.read(&watch).count == 2)
        #expect(store.read(&watch).isEmpty)
        store.compact()
        guard case .watchLost? = store.read(&old).first else { return #expect(Bool(false)) }
        _ = store.carryOut(.transaction(Transaction(then: [.delete(key: key("n/a"))])), at: .zero)
        #expect(store.read(&watch) == [.changes([.deleted(key: key("n/a"), at: 5)], revision: 5)])
    }

    @Test("a full store refuses what needs room, and carries out deletions") mutating func full() {
        _ = store.carryOut(.transaction(Transaction(then: [put("a")])), at: .zero)
        store.isFull = true
        #expect(store.carryOut(.transaction(Transaction(then: [put("b")])), at: .zero) == .refused(.full))
        #expect(store.carryOut(.grantLease(seconds: 5), at: .zero) == .refused(.full))
        _ = store.carryOut(.transaction(Transaction(then: [.delete(key: key("a"))])), at: .zero)
        #expect(store[key("a")] == nil)
    }
}

@Suite("A simulated network") struct SimulatedNetworkTests {
    @Test("answers each request once, whatever it does to it", arguments: UInt64(1)...4)
    func answers(seed: UInt64) {
        var network = SimulatedNetwork(hosts: 2, seed: seed, faults: .hostile)
        var open: Set<UInt64> = []
        var now = Instant.zero
        for number in UInt64(0)..<2_000 {
            let key = Array("n/\(number % 7)".utf8)
            let put = Transaction(then: [.put(key: key, value: [1], lease: 0)])
            open.insert(number)
            network.send(
                StoreRequestID(rawValue: number), .transaction(put), deadline: now.advanced(by: .seconds(3)),
                from: Int(number % 2), at: now)
            now = now.advanced(by: .milliseconds(7))
            for case (_, .answer(let id, _)) in network.take(until: now) {
                #expect(open.remove(id.rawValue) != nil)
            }
        }
        for case (_, .answer(let id, _)) in network.take(until: now.advanced(by: .seconds(60))) {
            open.remove(id.rawValue)
        }
        #expect(open.isEmpty)
    }
}
