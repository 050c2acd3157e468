import LockClaims
import LockVocabulary
import SimulatedStore

/// A register as text says it, read in the plainest way.
struct PlainRegister: Equatable {
    struct Entry: Equatable {
        let mode: String
        let host: String
        let session: Revision
        var flags: [String] = []
    }

    var holders: [Entry] = []
    var waiters: [Entry] = []
    var mark: String?

    init() {}

    init(_ bytes: [UInt8]) throws {
        var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map {
            $0.split(separator: " ")
        }
        guard lines.first == ["prwlock-claim", "1"] else { throw Violation("not a register: \(lines)") }
        lines.removeFirst()
        for words in lines {
            switch words.first {
            case "holds" where words.count == 4: holders.append(try Self.entry(words))
            case "waits" where words.count >= 4: waiters.append(try Self.entry(words))
            case "mark" where words.count == 2 && mark == nil: mark = String(words[1])
            default: throw Violation("not a line of a register: \(words)")
            }
        }
    }

    private static func entry(_ words: [Substring]) throws -> Entry {
        guard let session = Revision(words[3]) else { throw Violation("not a session: \(words)") }
        return Entry(
            mode: String(words[1]), host: String(words[2]), session: session,
            flags: words.dropFirst(4).map(String.init))
    }
}

/// What must hold in the store after each of its revisions, and between two of them.
struct RegisterOracle {
    private let prefix: String
    private let hosts: [String]
    private var watch: SimulatedWatch
    private var registers: [String: PlainRegister] = [:]
    /// The numbers of the sessions that live, by hosts.
    private var sessions: [String: Revision] = [:]
    private(set) var handovers = 0
    /// Whether a session has ended: other hosts cannot know what was held under it.
    private(set) var hasLostSessions = false

    init(prefix: String, hosts: [String], _ store: SimulatedStore) {
        (self.prefix, self.hosts) = (prefix, hosts)
        watch = store.watch(prefix: Array(prefix.utf8), from: store.revision + 1)
    }

    /// Looks at all new revisions. Throws if a change is wrong, or leaves a hold without a claim.
    mutating func look(at network: SimulatedNetwork, _ oracle: Oracle, at now: Instant) throws {
        for event in network.store.read(&watch) {
            guard case .changes(let changes, let revision) = event else {
                throw Violation("the simulation has lost its own watch")
            }
            let author = network.authors[revision].map { hosts[$0] }
            for change in changes {
                try see(change, by: author, revision)
            }
            let covers = oracle.holds.filter { $0.until > now }
            for hold in covers { try checkCover(of: hold, oracle) }
        }
    }

    /// A store that was restored from a backup: what follows begins with what it has.
    mutating func begin(anew store: SimulatedStore) throws {
        (registers, sessions) = ([:], [:])
        for pair in store.pairs(prefix: Array(prefix.utf8)) {
            try see(.put(pair), by: nil, pair.modified, isChecked: false)
        }
        watch = store.watch(prefix: Array(prefix.utf8), from: store.revision + 1)
    }

    /// Each hold of a shared name rests on a claim of a session that lives.
    func checkCover(of hold: Hold, _ oracle: Oracle) throws {
        guard oracle.settings.isShared(hold.name) else { return }
        let host = hosts[hold.party.host]
        let claim = registers[hold.name]?.holders.first { $0.host == host && $0.session == sessions[host] }
        guard let claim, claim.mode == "write" || hold.mode == .read else {
            throw Violation(
                "\(hold) has no claim: \(registers[hold.name].map { "\($0)" } ?? "no register"), \(sessions)")
        }
    }

    func hasSession(_ host: String) -> Bool { sessions[host] != nil }

    /// The names of which a transaction gives up the write claim of a host.
    func names(yieldedBy request: StoreRequest, of host: String) -> [String] {
        guard case .transaction(let transaction) = request else { return [] }
        func isWriter(_ register: PlainRegister?) -> Bool {
            register?.holders.contains { $0.host == host && $0.mode == "write" } ?? false
        }
        return transaction.then.compactMap { operation in
            guard let (key, next) = Self.change(operation), key.hasPrefix(prefix + "n/") else { return nil }
            let name = String(key.dropFirst(prefix.count + 2))
            return isWriter(registers[name]) && !isWriter(next) ? name : nil
        }
    }

    private static func change(_ operation: StoreOperation) -> (key: String, next: PlainRegister?)? {
        switch operation {
        case .put(let key, let value, _): (String(decoding: key, as: UTF8.self), try? PlainRegister(value))
        case .delete(let key): (String(decoding: key, as: UTF8.self), nil)
        case .get, .list: nil
        }
    }

    /// The registers, for a failure.
    var described: String {
        registers.filter { $0.value != PlainRegister() }.map { "\($0.key): \($0.value)" }.sorted()
            .joined(separator: ", ")
    }

    /// An entry of a session that has ended; nil if there is none.
    var deadEntry: String? {
        for (name, register) in registers {
            for entry in register.holders + register.waiters where isDead(entry) {
                return "\(name): \(entry)"
            }
        }
        return nil
    }

    /// The marks of names of which nothing else is left.
    var onlyMarks: [String: String] {
        registers.filter { $0.value.holders.isEmpty && $0.value.waiters.isEmpty }.compactMapValues(\.mark)
    }

    private mutating func see(
        _ change: StoreChange, by author: String?, _ revision: Revision, isChecked: Bool = true
    ) throws {
        let key = String(decoding: change.key, as: UTF8.self).dropFirst(prefix.count)
        if key.hasPrefix("hosts/") {
            let host = String(key.dropFirst(6))
            if case .put(let pair) = change {
                sessions[host] = pair.created
            } else {
                sessions[host] = nil
                hasLostSessions = true
            }
        } else if key.hasPrefix("n/") {
            let name = String(key.dropFirst(2))
            var new = PlainRegister()
            if case .put(let pair) = change {
                new = try PlainRegister(pair.value)
                if new == PlainRegister() {
                    throw Violation("the register of \(name) is empty, and not absent")
                }
            }
            let old = registers[name] ?? PlainRegister()
            registers[name] = new
            guard isChecked else { return }
            do {
                guard let author else { throw Violation("a lease ended it") }
                try check(old, new, by: author)
            } catch {
                throw Violation(
                    "register of \(name) at \(revision), by \(author ?? "a lease"): \(error); \(old) -> \(new)"
                )
            }
        } else if key != "fleet", !key.hasPrefix("waits/") {
            throw Violation("another key: \(key)")
        }
    }

    // MARK: - One step of a register

    private mutating func check(_ old: PlainRegister, _ new: PlainRegister, by author: String) throws {
        if new.holders.contains(where: { $0.mode == "write" }), new.holders.count > 1 {
            throw Violation("a write claim beside others")
        }
        for host in Set(new.holders.map(\.host)) where new.holders.count(where: { $0.host == host }) > 1 {
            throw Violation("\(host) has two claims")
        }
        for holder in old.holders where !new.holders.contains(where: { $0.isSameSession(holder) }) {
            try checkRemoval(of: holder, new, by: author)
        }
        for holder in new.holders {
            let before = old.holders.first { $0.isSameSession(holder) }
            if before == nil || before?.mode == "read" && holder.mode == "write" {
                try checkGain(of: holder, old, new)
                handovers += 1
            } else if let before, before.mode != holder.mode, holder.host != author {
                throw Violation("another host has changed the claim of \(holder.host)")
            }
        }
        for waiter in old.waiters where !new.waiters.contains(where: { $0.isSameSession(waiter) }) {
            let hasGained = new.holders.contains { $0.isSameSession(waiter) }
            let isRefused = waiter.flags.contains("probe") && old.holders.contains { $0.host == author }
            guard hasGained || isRefused || waiter.host == author || isDead(waiter) else {
                throw Violation("another host has removed the waiting \(waiter)")
            }
        }
        let stayed = old.waiters.filter { new.waiters.contains($0) }
        guard new.waiters.filter({ stayed.contains($0) }) == stayed else {
            throw Violation("the queue has another order")
        }
        if let mark = old.mark, new.mark == nil,
            !old.holders.contains(where: { $0.host == author && $0.mode == "write" })
        {
            throw Violation("the mark \(mark) is lost")
        }
    }

    private func isDead(_ entry: PlainRegister.Entry) -> Bool { sessions[entry.host] != entry.session }

    private func checkRemoval(
        of holder: PlainRegister.Entry, _ new: PlainRegister, by author: String
    ) throws {
        guard holder.host == author || isDead(holder) else {
            throw Violation("\(author) has removed the claim of \(holder.host), which lives")
        }
        // A host knows itself whether its former session held for a writer.
        if isDead(holder), holder.host != author, holder.mode == "write", new.mark == nil {
            throw Violation("a dead writer has left no mark")
        }
    }

    private func checkGain(
        of holder: PlainRegister.Entry, _ old: PlainRegister, _ new: PlainRegister
    ) throws {
        guard !isDead(holder) else { throw Violation("a dead session gets a claim: \(holder)") }
        let entry = old.waiters.first { $0.isSameSession(holder) }
        // The waiters of a dead session are removed with what it holds.
        let ahead = old.waiters.prefix { $0 != entry }.filter { new.waiters.contains($0) && !isDead($0) }
        let isUpgrade =
            entry?.flags.contains("upgrade") == true || old.holders.contains { $0.isSameSession(holder) }
        for waiter in ahead where !isUpgrade {
            throw Violation("\(holder) passes \(waiter)")
        }
    }
}

extension PlainRegister.Entry {
    fileprivate func isSameSession(_ other: Self) -> Bool { host == other.host && session == other.session }
}
