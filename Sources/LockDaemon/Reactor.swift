import Glibc
import LockClaims
import LockServer
import LockVocabulary
import Posix

/// The loop of the main thread, which owns all state: it waits, reads, carries out, and sends, a batch at a time.
///
///     ┌─────────────────────────────────────────────────────────────────────────┐
///     ▼                                                                         │
///  [ WAIT ] ──▶ [ READ ] ──▶ [ POLL ] ──▶ [ CARRY OUT ] ──▶ [ COMMIT, SEND ] ──┤
///    ▲ sleep, or poll                       ends, lines,                        │ the main queue has work,
///    │ for a moment after work              deadlines                           ▼ or there is news
///    └─────────────────────────────────── [ HOUSEKEEPING ] ◀──────────── [ MAIN QUEUE ]
///                                                   (`Daemon`: accept, signals, tokens, timers)
///
/// - WAIT finds the ready sockets. It does not act on ends yet.
/// - READ reads each ready socket once, into the arena or the ledger, but no socket that has hung up. A socket without room
///   there waits for the next batch, and is then first.
/// - POLL finds the sessions that have ended: sockets hung up, processes dead. It ignores all other events. The loop omits
///   it if no end could make a difference.
/// - CARRY OUT first completes the sessions that have ended (`Ends`): the lines in the arena, the rest in the socket, the end.
///   Then come the lines of the others, in the order in which their sockets became ready, and then all that is due by now.
/// - COMMIT, if there is a keeper, writes to the ledger what the batch has changed (`Continuity`). It comes before each SEND.
/// - SEND sends once to every session that has output. Lists continue in the next batch.
///
/// Why in this order (G6), if A holds a lock that B requests without waiting:
/// 1. A dies, then B sends its line. POLL comes after the read of that line and finds A's death: B gets the lock.
/// 2. A sends RELEASE and dies. The reactor reads A's socket to its end before A's end counts: no sent line is lost. If A has
///    sent more than a turn of lines, B's line waits until they are carried out (`Server`).
/// 3. The reactor reads B's line, and A dies before POLL. A's end comes first, so B gets a lock that G6 does not promise it.
/// 4. A dies after POLL. The next batch finds the death. The reply to B was true when the reactor made it.
/// 5. A's child keeps A's socket. Then only the process watch reports A's end, and the child may write for ever. The reactor
///    carries out what is in the socket when it finds the death, and no more.
///
/// The main queue of Dispatch is drained between two batches, never within one (`Daemon.serve`). Its handle is a member of
/// the epoll set. The interleavings with work W that a source, a timer or another queue adds to it:
/// 1. W is added while the loop sleeps or polls: the handle is ready, so `epoll_wait` returns. The drain follows after
///    that batch.
/// 2. W is added within a batch: the next WAIT finds the handle ready and does not sleep, whatever the traffic. That batch
///    is served first.
/// 3. W is added within a drain, by a source or by the work that is carried out: a drain takes what stood in the queue
///    when it began, and W makes the handle ready again. So a batch comes before W, and work that adds itself again
///    starves no session.
/// 4. W is added between the read of the handle and the drain: this drain carries W out, the handle is ready again, and the
///    next drain finds nothing. (A read after the drain could hide W for ever.)
/// 5. W changes what the reactor waits for (a policy, more tokens, a new session that is dead already): the batch after a
///    drain does not sleep.
/// 6. W ends the daemon: it only sets the phase. The same drain still carries out the work behind W, which finds a daemon that
///    ends. The loop stops after the drain.
///
/// libdispatch starts its thread with the first source. So the fork of `--detach` comes before that. The daemon makes all
/// sources before the first session, while descriptors are left.
///
/// Invariants:
/// 1. Only WAIT waits, and only when nothing is left to do.
/// 2. The cost of a batch is proportional to the ready sockets, not to all sessions: it makes no system call for an idle
///    session, and changes the conditions of a member only if they differ.
///
/// A value with one owner, not an object: a batch then needs no checks that its state is not in use.
struct Reactor: ~Copyable {
    var server: Server
    /// What another worker would go on from; nil if no keeper would start one.
    var continuity: Continuity?
    /// Whether there is `continuity`.
    let isKept: Bool
    private let anchor = Anchor()
    var waiting: Waiting
    /// The time, taken anew for each batch.
    private(set) var now: Instant
    /// Whether the reactor has closed descriptors since the daemon last reset this.
    var hasClosedSome = false
    /// The last error that cost a client its session; the daemon resets this.
    var shortage: SystemError?
    /// Whether a socket had no room in the parcel, so that its session ends with this process.
    private(set) var hasUnkeptSocket = false
    /// The changes that are news for the daemon.
    var news = News()
    /// What the server asks of the cluster: taken before a commit, to be sent after it.
    var storeRequests: [(id: StoreRequestID, request: StoreRequest, deadline: Instant)] = []
    /// Whether the main queue may have work.
    private(set) var mainQueueHasWork = true
    /// Whether the link to the cluster has work. The daemon does it where it drains the main queue, and for the same reasons.
    private(set) var linkHasWork = false

    var connections: Connections
    /// The memory for cached grants.
    let slots: SlotMappings
    /// Whether `slots` may have something to note or to send. To ask it, which is an object, costs more.
    var mayHaveNewSlots = true
    private var timer: DeadlineTimer
    var arena = Arena()
    /// How much the sockets took of each session's output in this batch.
    var outcomes = OwnedArray<(session: SessionID, outcome: Connection.SendOutcome)>()
    /// Sessions of a former worker without a socket.
    var lost: [SessionID] = []
    /// Whether the next batch is the first after a former worker, which must find all that ended meanwhile.
    var mustFindEnds = false
    /// Whether lines are carried out one at a time, because one of them may end this process.
    var care = Care()

    private var batch: UInt64 = 0
    var hasWorked = false
    /// Whether WAIT has found an end.
    private var hasSeenEnd = false
    /// The sessions to read: those left from the last batch, then those that became ready.
    private var readable = OwnedArray<SessionID>()
    /// The sessions that have ended.
    var ends = Ends()
    /// The sessions to visit at the end of the batch.
    var visits = OwnedArray<SessionID>()
    /// Kept for its memory.
    var visited = OwnedArray<SessionID>()

    init(
        _ server: consuming Server, _ continuity: consuming Continuity?, polling: Polling,
        watching support: ProcessWatch.Support, reporting reportedFacts: Policy.Facts, mainQueue: Int32
    ) throws(SystemError) {
        let events = try EventSet()
        let timer = try DeadlineTimer()
        try events.add(mainQueue, .mainQueue, .readable)
        connections = Connections(
            watching: support, facts: server.policy.facts, reporting: reportedFacts)
        let slots = SlotMappings(puttingInto: continuity.inspect { $0.parcel })
        self.slots = slots
        self.server = server
        isKept = continuity != nil
        self.continuity = continuity
        waiting = Waiting(events, polling)
        self.timer = timer
        now = Instant(nanoseconds: BootClock.now())
    }

    /// Serves until the main queue has work, or there is news.
    ///
    /// The first batch after a drain does not sleep, because the drain may have left work.
    mutating func serve() {
        repeat { runBatch() } while !mainQueueHasWork && !linkHasWork && !hasNews
    }

    private var hasNews: Bool {
        server.hasEvents || hasClosedSome || server.tokensLeft < news.tokens || news.isEveryBatch
            || news.counts.map { $0 != counts } ?? false || !storeRequests.isEmpty
    }

    private mutating func runBatch() {
        // What a former worker had read comes first: it is void after a commit.
        if connections.waitingCount > 0, !mustFindEnds { admit() }
        timer.cover(server.nextDeadline)
        batch += 1
        let hasWork = server.hasUnfinishedWork
        sort(wait(hasWork: hasWork))
        read()
        if mayEndMatter(hasWork: hasWork) { pollForEnds() }
        mustFindEnds = false
        tick()
        waiting.ended(at: now)
        hasWorked = !ends.isEmpty || !arena.slices.isEmpty
        if !ends.isEmpty || !lost.isEmpty {
            beginEnds()
            if !lost.isEmpty { endLost() }
            carryOutEnds()
        }
        carryOutLines()
        // The replies to these lines do not wait for work that has its turns.
        if server.hasUnfinishedWork { send() }
        let isUnfinished = server.advance(to: now)
        if care.isOn {
            carryOutWithCare()
        } else if isUnfinished {
            server.resumeWork(at: now)
        }
        send()
        checkInvariants()
    }

    /// The descriptor of the deadline's timer.
    var timerDescriptor: Int32 { timer.rawValue }

    /// Notes that a deadline may have come.
    mutating func acknowledgeTimer() { timer.acknowledge() }

    mutating func tick() { now = Instant(nanoseconds: BootClock.now()) }

    // MARK: - Wait

    /// Whether the shell has work without any new event.
    private var hasLeftOvers: Bool {
        !readable.isEmpty || !ends.isEmpty || !visits.isEmpty || connections.waitingCount > 0 || care.isOn
            || server.mayHaveStoreRequests
    }

    private mutating func wait(hasWork: Bool) -> Int {
        if mainQueueHasWork || linkHasWork || hasWork || hasLeftOvers {
            mainQueueHasWork = false
            linkHasWork = false
            return waiting.poll()
        }
        return hasWorked ? waiting.waitAfterWork() : waiting.sleep()
    }

    /// Notes the sessions to read, and those that take output again.
    private mutating func sort(_ count: Int) {
        hasSeenEnd = false
        for index in 0..<count {
            let event = waiting.events[index]
            switch event.source {
            case .session(let session):
                // The poll notes a closed session, and `Ends` reads its last lines in turns.
                if event.conditions.contains(.readable), !event.hasHungUp { readable.append(session) }
                if event.conditions.contains(.writable) { hasRoom(session) }
                if !event.conditions.isDisjoint(with: [.halfClosed, .closed]) { hasSeenEnd = true }
            case .process: hasSeenEnd = true
            case .mainQueue: mainQueueHasWork = true
            case .link: linkHasWork = true
            }
        }
    }

    private mutating func hasRoom(_ session: SessionID) {
        connections[session]?.isFull = false
        visits.append(session)
    }

    // MARK: - Read

    private mutating func read() {
        if !mustFindEnds { arena.empty() }
        if care.isOn { return readable.removeAll() }
        var count = 0
        // While the ledger cannot grow, a batch is so small that its facts have room in the reserve.
        let most = server.isFull ? min(readable.count, 16) : readable.count
        while count < most {
            let session = readable[count]
            if let connection = connections[session], connection.reads, connection.lastRead != batch {
                switch readOnce(connection, atMost: Arena.portion) {
                case .bytes(let bytes):
                    arena.take(bytes, for: session)
                    connection.seat.speak()
                case .nothing: break
                case .end: noteEndOfInput(of: connection)
                case .noRoom: return readable.removeFirst(count)
                }
                connection.lastRead = batch
            }
            count += 1
        }
        readable.removeFirst(count)
    }

    enum Input {
        /// Valid until the batch ends.
        case bytes(UnsafeRawBufferPointer)
        /// The socket is empty.
        case nothing
        /// The peer sends nothing more.
        case end
        /// This batch can read no more.
        case noRoom
    }

    /// Reads once from a session, into memory that outlives this process if there is a keeper.
    @inline(__always)
    mutating func readOnce(_ connection: Connection, atMost count: Int) -> Input {
        let room: UnsafeMutableRawBufferPointer?
        if !isKept {
            room = arena.takeRoom(count)
        } else {
            room = continuity?.beginInput(of: connection.session, atMost: count)
        }
        guard let room else { return .noRoom }
        let outcome = connection.read(into: room)
        var taken = 0
        if case .bytes(let count) = outcome { taken = count }
        if !isKept { arena.giveBack(count - taken) } else { continuity?.endInput(count: taken) }
        return switch outcome {
        case .bytes(let count): .bytes(UnsafeRawBufferPointer(start: room.baseAddress, count: count))
        case .nothing: .nothing
        case .end: .end
        }
    }

    /// Whether an end could make a difference to the lines of this batch.
    ///
    /// It could not if one session sent all of them, no other session holds or waits, and no line is left from an earlier batch
    /// (`hasWork`). If WAIT has found an end, only the poll notes it.
    private func mayEndMatter(hasWork: Bool) -> Bool {
        guard !hasSeenEnd, !mustFindEnds, !hasWork, arena.slices.count <= 1
        else { return true }
        return !arena.slices.isEmpty && !server.isAlone(arena.slices[0].session)
    }

    private mutating func pollForEnds() {
        for index in 0..<waiting.poll() {
            let event = waiting.events[index]
            switch event.source {
            case .session(let session):
                if event.hasHungUp {
                    note(.closed, of: session)
                } else if event.conditions.contains(.halfClosed) {
                    note(.halfClosed, of: session)
                }
            case .process(let watch):
                for session in connections.sessions(of: watch) { note(.processDied, of: session) }
                // All its sessions are noted, and no other joins it. Otherwise each poll until their ends are carried out
                // would report it again.
                waiting.events.remove(watch)
            case .mainQueue, .link: break
            }
        }
    }

    // MARK: - Carry out

    private mutating func carryOutLines() {
        for index in 0..<arena.slices.count where !arena.slices[index].isReceived {
            let slice = arena.slices[index]
            receive(slice)
            // A deadline that comes within a long batch must not wait for its end.
            if index % 16 == 15 || slice.bytes.count > 4_096 { tick() }
        }
    }

    mutating func receive(_ slice: Arena.Slice) {
        server.receive(slice.bytes, from: slice.session, at: now)
    }

    // MARK: - Sessions

    /// The clients that have a session or wait for one.
    var clientCount: Int { connections.count + connections.waitingCount }

    /// Notifies all clients that the daemon ends.
    mutating func drain() {
        admit(all: true)
        server.drain()
        send()
    }

    /// Sets another policy, for the present sessions too.
    mutating func setPolicy(_ policy: Policy) { connections.setPolicy(policy, of: &server) }

    /// Takes an accepted connection, which gets a session in a later batch.
    mutating func welcome(_ socket: consuming OwnedDescriptor) throws(SystemError) -> Arrivals.Welcome {
        let client = ClientSocket(socket, puttingInto: continuity?.parcel)
        if continuity != nil, !client.isKept { hasUnkeptSocket = true }
        return try connections.welcome(client, to: &server, at: now)
    }

    /// Begins sessions on connections that wait for one, as many as one batch may, or on all.
    private mutating func admit(all: Bool = false) {
        for arrival in connections.takeArrivals(all: all) {
            do throws(SystemError) {
                let connection = try connections.admit(arrival, to: &server, in: waiting.events, at: now)
                if connection == nil { hasClosedSome = true }
                guard let connection else { continue }
                continuity?.bind(connection.session, to: connection.socket.rawValue)
                guard connection.watch == .gone else { continue }
                note(.processDied, of: connection.session)
            } catch {
                shortage = error
                hasClosedSome = true
            }
        }
        // Nothing was read from these sessions yet. The next worker must know them, to give each its own bytes.
        commit()
    }

    /// Removes a session that has ended from the event set, where its socket would be ready in every poll.
    ///
    /// The loop reads its last lines in turns and needs no event for them.
    mutating func awaitNothing(from session: SessionID) {
        guard let connection = connections[session], connection.isMember,
            let end = connection.end, end.cause != .halfClosed
        else { return }
        connection.isMember = false
        waiting.events.remove(connection.socket.rawValue)
    }

    mutating func close(_ connection: Connection) {
        if continuity != nil {
            continuity?.unbind(connection.session)
            // A copy of the socket is in flight, so to close this one does not remove it from the set.
            if connection.isMember { waiting.events.remove(connection.socket.rawValue) }
        }
        slots.forget(connection.session)
        connections.close(connection, in: &server, at: now)
        hasClosedSome = true
    }
}
