import LockVocabulary

/// What a request is for.
enum Purpose {
    // The session
    case look
    case grantLease
    case register
    case keepAlive
    case revoke(LeaseID)
    case raiseGate
    case check
    // What the store has
    case list(UInt32)
    case watch(from: Revision)
    case publishWaits
    // The names
    case lookup(LockName)
    case swap([Swap])
}

/// A request without an answer.
struct InFlight {
    var purpose: Purpose
    var sentAt: Instant
    var generation: UInt64
    var era: UInt64
    /// The newest revision that was seen when it was sent: an answer with a lower one is of a restored store.
    var seen: Revision
}

extension Claims {
    /// How many swaps and lookups of names are asked at once. The others wait in the order of arrival.
    static var swapLimit: Int { 64 }
    /// How many names share a transaction at most: etcd takes 128 operations.
    static var batchLimit: Int { 50 }
    static var pageSize: Int64 { 500 }

    mutating func nextPurpose() -> (Purpose, StoreRequest)? {
        while let purpose = outbox.popFirst() {
            if let request = request(for: purpose) { return (purpose, request) }
        }
        if session != nil, !isKeepingAlive, now >= nextKeepAlive {
            isKeepingAlive = true
            return (.keepAlive, .keepAlive(lease))
        }
        return nextName()
    }

    private mutating func request(for purpose: Purpose) -> StoreRequest? {
        switch purpose {
        case .look: return .transaction(Transaction(then: sessionKeys))
        case .grantLease: return .grantLease(seconds: configuration.leaseSeconds)
        case .register: return .transaction(registration)
        case .keepAlive: return .keepAlive(lease)
        case .revoke(let lease): return .revokeLease(lease)
        case .check: return session == nil ? nil : .transaction(Transaction(then: sessionKeys))
        case .raiseGate:
            return ownTransaction(then: [
                .put(key: keys.host(configuration.host), value: ownRecord, lease: lease)
            ])
        case .publishWaits:
            let key = keys.waits(configuration.host)
            guard let value = waits.publication else { return ownTransaction(then: [.delete(key: key)]) }
            return ownTransaction(then: [.put(key: key, value: value, lease: lease)])
        case .list(let number):
            guard let listing, number == listingNumber else { return nil }
            return .transaction(
                Transaction(then: [
                    .list(prefix: keys.prefix, after: listing.after, limit: Self.pageSize),
                    .get(key: keys.fleet),
                ]))
        case .watch(let revision): return .watch(prefix: keys.prefix, from: revision)
        case .lookup, .swap: return nil
        }
    }

    var sessionKeys: [StoreOperation] { [.get(key: keys.fleet), .get(key: keys.host(configuration.host))] }

    private var ownRecord: [UInt8] {
        HostRecord(instance: configuration.instance, leaseSeconds: leaseSeconds).text
    }

    private var registration: Transaction {
        let key = keys.host(configuration.host)
        var then: [StoreOperation] = [.put(key: key, value: ownRecord, lease: lease)]
        if let text = settings?.text, isSettingsNews {
            then.append(.put(key: keys.fleet, value: text, lease: 0))
        }
        return Transaction(
            if: [.created(key: key, at: 0), .modified(key: keys.fleet, at: settingsModified)],
            then: then, otherwise: sessionKeys)
    }

    private func ownTransaction(then operations: [StoreOperation]) -> StoreRequest? {
        guard let session else { return nil }
        return .transaction(
            Transaction(
                if: [.created(key: keys.host(session.host), at: session.number)], then: operations,
                otherwise: sessionKeys))
    }

    // MARK: - Names

    /// The next lookup, swap, or swaps in one transaction.
    private mutating func nextName() -> (Purpose, StoreRequest)? {
        guard let session else { return nil }
        var quiet: [Swap] = []
        while swapsInFlight < Self.swapLimit, quiet.count < Self.batchLimit, let name = ready.popFirst() {
            records[name]?.isReady = false
            guard let step = takeStep(name) else {
                // The record may have waited for its turn to be forgotten.
                settle(name)
                continue
            }
            switch step {
            case .lookup where quiet.isEmpty:
                begin(name)
                let reads: [StoreOperation] = [.get(key: keys.register(name)), .get(key: keys.fleet)]
                return (.lookup(name), .transaction(Transaction(then: reads)))
            case .swap(let swap) where quiet.isEmpty && !mayShare(swap):
                send(swap)
                return (.swap([swap]), .transaction(transaction([swap], session)))
            case .swap(let swap) where mayShare(swap):
                send(swap)
                quiet.append(swap)
            case .lookup, .swap:
                // It goes alone, with the next request.
                records[name]?.isReady = true
                ready.append(name)
                return (.swap(quiet), .transaction(transaction(quiet, session)))
            }
        }
        return quiet.isEmpty ? nil : (.swap(quiet), .transaction(transaction(quiet, session)))
    }

    /// No local request and no other host waits for the swap, and nothing but its own register and dead sessions can make it
    /// fail.
    private func mayShare(_ swap: Swap) -> Bool {
        guard swap.isQuiet, swap.promoted.isEmpty else { return false }
        return records[swap.name].map { !$0.isAlone } ?? false
    }

    private mutating func begin(_ name: LockName) {
        records[name]?.isInFlight = true
        records[name]?.fault = nil
        swapsInFlight += 1
    }

    /// Notes a swap that is sent. One that gives up may be carried out from now on, so its claim is used no more.
    private mutating func send(_ swap: Swap) {
        begin(swap.name)
        guard let remains = swap.givesUp else { return }
        var doubt = Doubt(modified: swap.modified, remains: remains)
        if let former = records[swap.name]?.doubt, former.modified == swap.modified {
            doubt.remains = weaker(former.remains, remains)
            doubt.isUnanswered = former.isUnanswered
        }
        records[swap.name]?.doubt = doubt
    }

    private func transaction(_ swaps: [Swap], _ session: HostSession) -> Transaction {
        var comparisons: [Comparison] = [.created(key: keys.host(session.host), at: session.number)]
        var then: [StoreOperation] = []
        var otherwise: [StoreOperation] = []
        for swap in swaps {
            let key = keys.register(swap.name)
            comparisons.append(.modified(key: key, at: swap.modified))
            if swap.next.isEmpty {
                if swap.modified != 0 { then.append(.delete(key: key)) }
            } else if swap.isProof {
                then.append(.get(key: key))
            } else {
                then.append(.put(key: key, value: swap.next.text, lease: 0))
            }
            otherwise.append(.get(key: key))
        }
        for host in compared(swaps, session).live {
            comparisons.append(.created(key: keys.host(host.host), at: host.number))
        }
        for host in compared(swaps, session).dead {
            comparisons.append(.notCreated(key: keys.host(host.host), at: host.number))
        }
        if swaps.contains(where: { $0.promoted.contains(session) }) {
            comparisons.append(.modified(key: keys.fleet, at: settingsModified))
        }
        for host in comparedHosts(swaps, session) { otherwise.append(.get(key: keys.host(host))) }
        otherwise.append(.get(key: keys.fleet))
        return Transaction(if: comparisons, then: then, otherwise: otherwise)
    }

    private func compared(_ swaps: [Swap], _ session: HostSession) -> (
        live: [HostSession], dead: [HostSession]
    ) {
        let live = Set(swaps.flatMap(\.promoted)).subtracting([session])
        let dead = Set(swaps.flatMap(\.swept))
        return (
            live.sorted { $0.host < $1.host }, dead.sorted { ($0.host, $0.number) < ($1.host, $1.number) }
        )
    }

    /// The hosts that a failed transaction reads, this host first.
    func comparedHosts(_ swaps: [Swap], _ session: HostSession) -> [HostName] {
        let (live, dead) = compared(swaps, session)
        return [session.host] + Set((live + dead).map(\.host)).subtracting([session.host]).sorted()
    }
}
