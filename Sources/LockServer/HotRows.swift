import LockCore
import LockVocabulary
import LockWire

/// The answer to `HOT`, and the choice of its rows.
extension Server {
    /// How many rows `HOT` and `LIST` by a rank have if the client names no limit.
    static var usualRows: Int { 100 }

    mutating func hot(
        _ prefix: String, by rank: HotRank, atMost most: Int, _ tag: Tag?, _ client: ConversationIndex,
        _ now: Instant
    ) -> Answer {
        let rights = conversations[client].verdict.rights
        let kept = table.times.hot.all
        accounts.charge(.rows(kept.count), to: conversations[client].payer, at: now)
        let chosen =
            kept
            .filter { $0.name.text.utf8.starts(with: prefix.utf8) && rights.allow(.look, $0.name) }
            // The costs of a lock are much to move, and few names need to be compared.
            .map { (key: $0.key(rank), name: $0.name) }
            .sorted { $0.key != $1.key ? $0.key > $1.key : $0.name.text < $1.name.text }
            .prefix(most)
        return .rows(.hot(chosen.map(\.name), tag))
    }
}

extension HotLocks.Costs {
    func key(_ rank: HotRank) -> Int {
        switch rank {
        case .waited: waits.total
        case .waits: waits.all
        case .grants: holds.all
        case .held: holds.total
        case .longest: longest?.time ?? 0
        }
    }
}

extension Row.Hot {
    init(_ costs: HotLocks.Costs, at now: Instant) {
        self.init(name: costs.name)
        grants = costs.holds.all
        waits = costs.waits.all
        waited = .microseconds(costs.waits.total)
        held = .microseconds(costs.holds.total)
        if let wait = costs.longest {
            longest = .microseconds(wait.time)
            behind = wait.behind.map { Holder(processID: $0.processID, mode: $0.mode) }
            ago = wait.end.duration(to: now)
        }
        over = costs.over
        waitBuckets = (0..<TimeBuckets.count).map { costs.waits[$0] }
        holdBuckets = (0..<TimeBuckets.count).map { costs.holds[$0] }
    }
}
