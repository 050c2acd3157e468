import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// Waits until locks are free, without a place in their queues: it only looks.
///
///               watches, then asks for the status           free
///     ┌─────▶ [ WATCHED ] ─────────────────────────▶ next name ──▶ all free at once?
///     │ the daemon ends │ ▲ a notice, or a pause is over                 │ no: from the first
///     └─────────────────┘ └─ not free                                    ▼ yes
///
/// With several names it waits for one after another, and then asks for all of them. So all were free in one look, as far
/// as a look at several locks has a moment.
struct FreeLockSearch: ~Copyable {
    /// What is known of a lock at the end.
    struct Finding {
        let name: LockName
        let occupancy: LockOccupancy
        let ownerDied: Mark?
        let isFree: Bool
    }

    private let names: [LockName]
    /// The mode in which the locks are to be free: read or write.
    private let mode: LockMode
    private let wait: TimeLimit
    private let daemon: DaemonChoice
    private let time: CallTime
    private let start = Instant.now
    private var connection: BlockingConnection

    /// How long to search for another daemon after the end of one, and the pause between two attempts.
    private static let patience = Duration.seconds(10)
    private static let pause = Duration.milliseconds(100)
    /// When to ask again although no notice has come. A rule may deny `watch` without a word.
    private static let firstRepetition = Duration.seconds(1)
    private static let longestRepetition = Duration.seconds(10)

    init(
        for names: [LockName], mode: LockMode, wait: TimeLimit, at daemon: DaemonChoice
    ) throws(Complaint) {
        self.names = names
        self.mode = mode
        self.wait = wait
        self.daemon = daemon
        time = CallTime(waiting: wait)
        connection = try daemon.connect(by: Deadline(time.end))
    }

    var elapsed: Duration { start.duration(to: .now) }

    /// When to give up: the daemon is asked once more then, so the answer may come a little later.
    private var deadline: Deadline { Deadline(time.deadline) }

    /// Whether all locks were free before the time was over.
    mutating func run() throws(Complaint) -> Bool {
        for name in names { try refuseOwn(name) }
        while true {
            for name in names { guard try waitFor(name) else { return false } }
            if names.count == 1 { return true }
            var areFree = true
            for name in names where areFree { areFree = try status(of: name).isFree(for: mode) }
            if areFree { return true }
            if deadline.isOver { return false }
        }
    }

    /// The locks as they are now.
    mutating func findings() throws(Complaint) -> [Finding] {
        var findings: [Finding] = []
        for name in names {
            let occupancy = try status(of: name)
            var mark: Mark?
            // The name itself comes before all longer ones.
            _ = try connection.ask(.list(prefix: name.text, after: nil, limit: 1), patience: patience) {
                row in
                if case .lock(let lock) = row, lock.name == name { mark = lock.ownerDied }
            }
            findings.append(
                Finding(
                    name: name, occupancy: occupancy, ownerDied: mark, isFree: occupancy.isFree(for: mode)))
        }
        return findings
    }

    /// How long the daemon may be silent.
    private var patience: Duration {
        guard let left = Deadline(time.end).left else { return CallTime.patience }
        return min(CallTime.patience, max(left, CallTime.answerTime))
    }

    /// Refuses to wait for a lock that an ancestor of this process holds: it would wait for itself.
    private mutating func refuseOwn(_ name: LockName) throws(Complaint) {
        guard let ancestor = try AncestorGrant.find(on: name, over: &connection, by: Deadline(time.end)),
            ancestor.forbids(mode)
        else { return }
        throw ancestor.refusal(of: name, code: 1, hint: "it is not free before that ends")
    }

    /// Waits until one lock is free; false if the time is over.
    private mutating func waitFor(_ name: LockName) throws(Complaint) -> Bool {
        while true {
            do throws(Complaint) {
                return try watch(name)
            } catch {
                guard error.code == Complaint.unavailable, !deadline.isOver, wait != .upTo(.zero) else {
                    throw error
                }
                try moveToAnotherDaemon(because: error)
            }
        }
    }

    private mutating func watch(_ name: LockName) throws(Complaint) -> Bool {
        if wait == .upTo(.zero) { return try status(of: name).isFree(for: mode) }
        _ = try connection.ask(.watch(prefix: name.text), patience: patience)
        var occupancy = try status(of: name)
        var line = WaitingLine(Acquire(name: name, mode: mode, wait: wait), daemon)
        defer { line.erase() }
        var repetition = Self.firstRepetition
        var nextLook = Deadline(after: repetition)
        while !occupancy.isFree(for: mode) {
            switch connection.nextEvent(until: min(deadline, nextLook, line.nextUpdate ?? .never)) {
            case .line(.notice(.changed(let changed))): if changed.name == name { occupancy.apply(changed) }
            case .line(.notice(.missed)): occupancy = try status(of: name)
            case .line, .ready: break
            case .ended(let error): throw Complaint(error)
            case .moment where deadline.isOver: return false
            case .moment where nextLook.isOver:
                occupancy = try status(of: name)
                repetition = min(repetition * 2, Self.longestRepetition)
                nextLook = Deadline(after: repetition)
            case .moment: line.update(waited: elapsed, by: deadline)
            }
        }
        return true
    }

    /// Asks for the holders and waiters of a lock, and follows the notices that come behind the first row.
    private mutating func status(of name: LockName) throws(Complaint) -> LockOccupancy {
        var occupancy = LockOccupancy()
        var hasRows = false
        var claims: [Row.Claim] = []
        do throws(ConnectionEnded) {
            try connection.send(Request(verb: .status(name)), by: Deadline(after: patience))
        } catch {
            throw Complaint(error)
        }
        while true {
            switch connection.nextEvent(until: Deadline(after: patience)) {
            case .line(.row(let row)):
                hasRows = true
                occupancy.add(row)
                if case .claim(let claim) = row { claims.append(claim) }
            case .line(.notice(.changed(let changed))):
                if hasRows, changed.name == name { occupancy.apply(changed) }
            case .line(.reply(_, .end)):
                if occupancy.isFree(for: mode) { try refuseForeign(claims, name) }
                return occupancy
            case .line(.reply(_, .error(let error))): throw Complaint(error)
            case .line(.reply(_, .denied(let name, let what, let reason))):
                throw Complaint.denied(name, what, reason)
            case .line(.reply): throw Complaint.unexpected
            case .line(.notice), .ready: break
            case .moment: throw Complaint(.noAnswer(connection.silentDaemon))
            case .ended(let error): throw Complaint(error)
            }
        }
    }

    /// Refuses to call a lock free that another host claims, because only that host knows its holders.
    private func refuseForeign(_ claims: [Row.Claim], _ name: LockName) throws(Complaint) {
        let own = Self.hostName
        guard let other = claims.first(where: { $0.host.text != own && $0.mode.conflicts(with: mode) }) else {
            return
        }
        throw Complaint(
            "\(name.shown): host \(other.host) claims it, and only that host knows whether it is held; "
                + "`prwlock run` asks it for the lock", code: Complaint.temporary)
    }

    /// The name of this host, which is its name in a fleet unless its daemon was given another.
    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Connects until a daemon answers, for the time of the search at most.
    private mutating func moveToAnotherDaemon(because reason: Complaint) throws(Complaint) {
        let lastAttempt = min(deadline, Deadline(after: Self.patience))
        while true {
            usleep(UInt32(min(Self.pause, lastAttempt.left ?? Self.pause).wholeMilliseconds) * 1000)
            do throws(Complaint) {
                connection = try daemon.connect(by: Deadline(time.end))
                return
            } catch {
                guard error.code == Complaint.unavailable || error.code == Complaint.temporary,
                    !lastAttempt.isOver
                else { throw error }
            }
        }
    }
}
