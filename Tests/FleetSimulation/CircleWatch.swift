import LockVocabulary

/// How long owners have waited for each other in a circle, through the holds of one host or of several.
struct CircleWatch {
    private var since: [[Int]: Instant] = [:]
    /// How long a circle may last: it is refused within a second, and begins anew if other requests on its locks come or go.
    private let most = Duration.seconds(2)
    /// When each request was last in what may be a circle.
    private var possible: [Int: Instant] = [:]
    /// How old the hosts' picture of a circle may be.
    private let delay = Duration.milliseconds(500)

    init() {}

    /// Throws if a circle has lasted for too long, while nothing disturbed the hosts.
    mutating func look(at oracle: Oracle, at now: Instant) throws {
        guard oracle.isCalm(at: now) else {
            (since, possible) = ([:], [:])
            return
        }
        possible = possible.filter { $0.value.advanced(by: delay) >= now }
        let waiting = oracle.asked.values.filter { $0.waits && $0.arrival != nil }.sorted { $0.id < $1.id }
        var found: [[Int]: Instant] = [:]
        for request in waiting {
            if Self.mayBeCircle(request, oracle) { possible[request.id] = now }
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

    /// Throws if a request was refused for a circle over hosts that there was not, while nothing disturbed the hosts; or that was
    /// not looked at twice, 300 ms apart.
    func check(refused request: Asked, _ words: [Substring], _ oracle: Oracle, at now: Instant) throws {
        let cycle = words.first { $0.hasPrefix("cycle=") } ?? ""
        let hops = cycle.split(separator: ">").dropFirst()
        guard request.verb == .acquire, hops.contains(where: { $0.hasPrefix("host:") }) else { return }
        // A host finds at once that a request would wait behind its own recall. A clock may gain a twelfth.
        let isOverHosts = hops.allSatisfy { $0.hasPrefix("host:") && !$0.hasSuffix(":\(request.name)") }
        if isOverHosts, let arrival = request.arrival, arrival.world.duration(to: now) < .milliseconds(275) {
            throw Violation("G8: refused for a circle without a second look: \(request) \(words)")
        }
        guard let calm = oracle.calmSince?.advanced(by: oracle.settings.recovery + .seconds(1)), calm <= now,
            possible[request.id] == nil, !Self.mayBeCircle(request, oracle)
        else { return }
        throw Violation("G8: no circle: \(request) \(words)")
    }

    /// Whether an owner may wait for itself, if it waits for all requests that conflict with its own, in whichever order.
    private static func mayBeCircle(_ start: Asked, _ oracle: Oracle) -> Bool {
        let waiting = oracle.asked.values.filter(\.waits)
        let holds = oracle.holds + oracle.lapsed
        var seen: Set<Party> = []
        var ways = [start]
        while let request = ways.popLast() {
            var parties = Set(holds.filter { blocks($0, request, oracle.settings) }.map(\.party))
            for other in waiting
            where other.name == request.name && other.party != request.party
                && (oracle.settings.isShared(other.name) || other.party.host == request.party.host)
                && conflicts(other.mode, of: other.party, request)
            {
                parties.insert(other.party)
            }
            if parties.contains(start.party) { return true }
            ways += waiting.filter { parties.contains($0.party) && seen.insert($0.party).inserted }
        }
        return false
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
        return conflicts(hold.mode, of: hold.party, request)
    }

    /// Over hosts, a session that may upgrade excludes all others.
    private static func conflicts(_ mode: LockMode, of party: Party, _ request: Asked) -> Bool {
        if party.host != request.party.host, mode == .update || request.mode == .update { return true }
        return mode.conflicts(with: request.mode)
    }
}
