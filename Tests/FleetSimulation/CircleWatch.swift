import LockVocabulary

/// How long owners have waited for each other in a circle, through the holds of one host or of several.
struct CircleWatch {
    private var since: [[Int]: Instant] = [:]
    /// How long a circle may last: it is refused within a second, and begins anew if other requests on its locks come or go.
    private let most = Duration.seconds(2)

    init() {}

    /// Throws if a circle has lasted for too long, while nothing disturbed the hosts.
    mutating func look(at oracle: Oracle, at now: Instant) throws {
        guard oracle.isCalm(at: now) else {
            since = [:]
            return
        }
        let waiting = oracle.asked.values.filter { $0.waits && $0.arrival != nil }.sorted { $0.id < $1.id }
        var found: [[Int]: Instant] = [:]
        for request in waiting {
            guard let circle = Self.circle(from: request, waiting, oracle) else { continue }
            let begin = since[circle] ?? now
            if begin.duration(to: now) > most {
                let parties = waiting.filter { circle.contains($0.id) }
                throw Violation("G8: a circle for \(begin.duration(to: now)): \(parties)")
            }
            found[circle] = begin
        }
        since = found
    }

    /// The numbers of the requests of a circle that begins and ends with one; nil if there is none. Only holders count.
    private static func circle(from start: Asked, _ waiting: [Asked], _ oracle: Oracle) -> [Int]? {
        var seen: Set<Int> = []
        func search(_ request: Asked, _ path: [Int]) -> [Int]? {
            for hold in oracle.holds where blocks(hold, request, oracle.settings) {
                for next in waiting where next.party == hold.party {
                    if next.id == start.id { return path.sorted() }
                    guard seen.insert(next.id).inserted else { continue }
                    if let found = search(next, path + [next.id]) { return found }
                }
            }
            return nil
        }
        return search(start, [start.id])
    }

    private static func blocks(_ hold: Hold, _ request: Asked, _ settings: FleetSettings) -> Bool {
        guard hold.name == request.name, hold.party != request.party else { return false }
        guard settings.isShared(hold.name) || hold.party.host == request.party.host else { return false }
        if hold.party.host != request.party.host, hold.mode == .update || request.mode == .update {
            return true
        }
        return hold.mode.conflicts(with: request.mode)
    }
}
