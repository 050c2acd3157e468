import Glibc
import LockServer
import LockVocabulary
import Posix

/// The loop of the main thread, which owns all state: it waits, reads, carries out, and sends, a batch at a time.
///
///            ┌───────────────────────────────────────────────────────────────┐
///            ▼                                                               │
///  [ WAIT ] ──▶ [ READ ] ──▶ [ LOOK AGAIN ] ──▶ [ CARRY OUT ] ──▶ [ SEND ] ──┤
///    ▲ sleep, or poll                            ends, lines,                │ the main queue has work,
///    │ for a moment after work                   deadlines                   ▼ or there is news
///    └───────────────────────────────────────────── [ MAIN QUEUE ] ◀── [ HOUSEKEEPING ]
///                                                   (`Daemon`: accept, signals, tokens, timers)
///
/// - WAIT: which sockets are ready. Ends are not acted on yet.
/// - READ: each ready socket once, into the arena. What finds no room stays for the next batch, and is then first.
/// - LOOK AGAIN: which sessions have ended: sockets hung up, processes dead. Of this look nothing else counts. It is
///   spared where no end could make a difference.
/// - CARRY OUT: first every session that has ended: what was read from it, what is left in its socket, its end. Then
///   everybody else's lines, in the order in which their sockets became ready. Then what is due by now.
/// - SEND: to every session that is owed something, once; lists go on in the next batch.
///
/// Why in this order (G6), where A holds what B asks for without waiting:
/// 1. A dies, then B asks. Whenever B's line is read, the look after that sees A's death: B is granted.
/// 2. A sends RELEASE and dies. A's end makes its socket be read to the end before it counts: nothing sent is lost.
/// 3. B's line was read, and A dies before the look: A's end is carried out first. B gains what nobody promised it.
/// 4. A dies after the look: the next batch sees it. B was told the truth of the moment.
/// 5. A's child keeps A's socket. Then only the process watch tells A's end, and the child may write on for ever: what
///    stands in the socket when the death is seen is carried out, and no more.
///
/// The main queue of Dispatch is drained between two batches, never within one (`Daemon.serve`). Its handle is a member of
/// the epoll set. The interleavings with work W that a source, a timer or another queue adds to it:
/// 1. W is added while the loop sleeps or polls: the handle is ready, so `epoll_wait` returns. A batch without lines follows,
///    and then the drain.
/// 2. W is added within a batch: the next WAIT finds the handle ready and does not sleep, whatever the traffic. That batch
///    is served first.
/// 3. W is added within a drain, by a source or by the work that is carried out: a drain takes what stood in the queue
///    when it began, and W makes the handle ready again. So a batch comes before W, and work that adds itself again
///    starves no session.
/// 4. W is added between the read of the handle and the drain: it is carried out, the handle stays ready, and one drain
///    finds nothing. (Read after the drain, the handle could hide W for ever.)
/// 5. W changes what the reactor waits for (a policy, more tokens, a new session that is dead already): the batch after a
///    drain does not sleep.
/// 6. W ends the daemon: it only says so. The work behind it in the same drain is carried out and finds a daemon that
///    ends, and the loop stops after the drain.
///
/// Libdispatch starts its thread with the first source. So the fork of `--detach` comes before, and all sources are made before
/// the first session, while there are descriptors.
///
/// Invariants:
/// 1. No call here waits but WAIT's, and that only when nothing is left to do.
/// 2. A batch costs in proportion to what is ready, not to the sessions there are: nothing is asked of the
///    kernel for a session that is idle, and what is waited for is changed only when it differs.
///
/// A value with one owner and not an object: within a batch nothing then has to ask whether its state is in use.
struct Reactor: ~Copyable {
    var server: Server
    private let anchor = Anchor()
    private var waiting: Waiting
    /// The time, taken anew for each batch.
    private(set) var now: Instant
    /// Whether descriptors were closed since it was last asked.
    var hasClosedSome = false
    /// What is news for the daemon.
    var news = News()
    /// Whether the main queue is to be drained.
    private(set) var mainQueueHasWork = true

    private var connections: Connections
    private var timer: DeadlineTimer
    private var arena = Arena()

    private var batch: UInt64 = 0
    private var hasWorked = false
    /// Whether an end was among what the batch began with.
    private var hasSeenEnd = false
    /// Sockets to be read: those that were left over, then those that became ready.
    private var readable: [SessionID] = []
    /// Sessions that have ended.
    private var ends: [End] = []
    /// Sessions to be visited at the end of the batch.
    private var visits: [SessionID] = []

    private struct End {
        enum Cause {
            /// The peer sends nothing more, and may read on.
            case halfClosed
            /// Nobody is at the other end.
            case closed
            /// The process is dead, and its socket may live on.
            case processDied
        }

        let session: SessionID
        let cause: Cause
    }

    init(
        _ server: consuming Server, polling: Polling, watching support: ProcessWatch.Support,
        reporting reportedFacts: Policy.Facts, mainQueue: Int32
    ) throws(SystemError) {
        let events = try EventSet()
        let timer = try DeadlineTimer()
        try events.add(mainQueue, .mainQueue, .readable)
        connections = Connections(
            watching: support, facts: server.policy.facts, reporting: reportedFacts)
        self.server = server
        waiting = Waiting(events, polling)
        self.timer = timer
        now = Instant(nanoseconds: BootClock.now())
    }

    /// How many sessions and locks there are.
    struct Counts: Equatable {
        var sessions: Int
        var locks: Int
    }

    /// What the daemon wants to look at between two batches; it is checked here, as that costs each batch less.
    struct News {
        /// Fewer tokens left than this.
        var tokens: UInt64 = 0
        /// Other counts than these; nil for none.
        var counts: Counts?
        /// Whether the end of every batch is news.
        var isEveryBatch = false
    }

    /// Serves until the main queue has work, or there is news.
    ///
    /// After a drain the first batch does not sleep: what was drained may have left something to do.
    mutating func serve() {
        repeat { runBatch() } while !mainQueueHasWork && !hasNews
    }

    private var hasNews: Bool {
        server.hasEvents || hasClosedSome || server.tokensLeft < news.tokens || news.isEveryBatch
            || news.counts.map { $0 != counts } ?? false
    }

    var counts: Counts { Counts(sessions: server.sessionCount, locks: server.lockCount) }

    private mutating func runBatch() {
        timer.cover(server.nextDeadline)
        batch += 1
        sort(wait())
        read()
        if needsLook { lookAgain() }
        tick()
        waiting.ended(at: now)
        hasWorked = !ends.isEmpty || !arena.slices.isEmpty
        carryOutEnds()
        carryOutLines()
        server.advance(to: now)
        if server.hasUnfinishedWork { server.resumeWork(at: now) }
        send()
    }

    /// The descriptor of the deadline's timer.
    var timerDescriptor: Int32 { timer.rawValue }

    /// A deadline may have come.
    mutating func acknowledgeTimer() { timer.acknowledge() }

    private mutating func tick() { now = Instant(nanoseconds: BootClock.now()) }

    // MARK: - Wait

    /// Whether there is more to do without anything new.
    private var hasLeftOvers: Bool {
        !readable.isEmpty || !ends.isEmpty || !visits.isEmpty || server.hasUnfinishedWork
    }

    private mutating func wait() -> Int {
        if mainQueueHasWork || hasLeftOvers {
            mainQueueHasWork = false
            return waiting.poll()
        }
        return hasWorked ? waiting.waitAfterWork() : waiting.sleep()
    }

    /// Notes what is to be read and whom there is room to send to.
    private mutating func sort(_ count: Int) {
        hasSeenEnd = false
        for index in 0..<count {
            let event = waiting.events[index]
            switch event.source {
            case .session(let session):
                if event.conditions.contains(.readable) { readable.append(session) }
                if event.conditions.contains(.writable) { hasRoom(session) }
                if !event.conditions.isDisjoint(with: [.halfClosed, .closed]) { hasSeenEnd = true }
            case .process: hasSeenEnd = true
            case .mainQueue: mainQueueHasWork = true
            }
        }
    }

    private mutating func hasRoom(_ session: SessionID) {
        connections[session]?.isFull = false
        visits.append(session)
    }

    // MARK: - Read

    private mutating func read() {
        arena.empty()
        var count = 0
        while count < readable.count, !arena.isFull {
            let session = readable[count]
            count += 1
            guard let connection = connections[session], connection.reads, connection.lastRead.batch != batch
            else { continue }
            connection.lastRead = (batch, nil)
            // The end is the next look's to tell.
            if case .bytes(let count) = connection.read(into: arena.room) {
                connection.lastRead.slice = arena.take(count, for: session)
            }
        }
        readable.removeFirst(count)
    }

    /// Whether an end could make a difference to the lines that were read.
    ///
    /// Not if they are one session's, and nobody else holds or waits for anything: nobody else can be told of it, or
    /// be spared. Lines that are left from an earlier batch count too. An end that the batch began with is only noted by the
    /// look.
    private var needsLook: Bool {
        guard !hasSeenEnd, !server.hasUnfinishedWork, arena.slices.count <= 1 else { return true }
        return arena.slices.first.map { !server.isAlone($0.session) } ?? false
    }

    private mutating func lookAgain() {
        for index in 0..<waiting.poll() {
            let event = waiting.events[index]
            switch event.source {
            case .session(let session):
                if event.conditions.contains(.closed) {
                    ends.append(End(session: session, cause: .closed))
                } else if event.conditions.contains(.halfClosed) {
                    ends.append(End(session: session, cause: .halfClosed))
                }
            case .process(let watch):
                for session in connections.sessions(of: watch) {
                    ends.append(End(session: session, cause: .processDied))
                }
            case .mainQueue: break
            }
        }
    }

    // MARK: - Carry out

    private mutating func carryOutEnds() {
        // Nobody who is dead waits while others' last lines are carried out: what they release goes to the living.
        for end in ends { server.prepareEnd(end.session, at: now) }
        for end in ends {
            guard let connection = connections[end.session], !connection.hasEnded else { continue }
            if connection.lastRead.batch == batch, let slice = connection.lastRead.slice {
                receive(slice)
                connection.lastRead.slice = nil
            }
            receiveRest(
                of: connection, atMost: end.cause == .processDied ? connection.readableBytes : .max)
            server.prepareEnd(end.session, at: now)
        }
        for end in ends {
            guard let connection = connections[end.session] else { continue }
            if !connection.hasEnded {
                connection.hasEnded = true
                server.endOfInput(end.session, wasKilled: { connection.wasProcessKilled }, at: now)
            }
            if end.cause != .halfClosed { server.died(end.session, at: now) }
            visits.append(end.session)
        }
        ends.removeAll(keepingCapacity: true)
    }

    private mutating func carryOutLines() {
        for (index, slice) in arena.slices.enumerated()
        where connections[slice.session]?.hasEnded == false {
            receive(slice)
            // A long batch must not hold back what is due meanwhile.
            if index % 16 == 15 || slice.range.count > 4_096 { tick() }
        }
    }

    private mutating func receive(_ slice: Arena.Slice) {
        server.receive(arena.bytes(of: slice), from: slice.session, at: now)
    }

    private mutating func receiveRest(of connection: Connection, atMost most: Int) {
        var left = most
        while left > 0 {
            let room = UnsafeMutableRawBufferPointer(rebasing: arena.spare.prefix(left))
            guard case .bytes(let count) = connection.read(into: room) else { return }
            server.receive(
                UnsafeRawBufferPointer(rebasing: room.prefix(count)), from: connection.session, at: now)
            left -= count
        }
    }

    // MARK: - Send

    private mutating func send() {
        collectVisits()
        guard !visits.isEmpty else { return }
        hasWorked = true
        var visited: [SessionID] = []
        swap(&visits, &visited)
        for session in visited {
            if let connection = connections[session] { visit(connection) }
        }
        visited.removeAll(keepingCapacity: true)
        swap(&visits, &visited)
        // Who made room for more rows gets them in the next batch, after everybody else's turn.
        collectVisits()
    }

    private mutating func collectVisits() {
        while let session = server.nextReadySession() { visits.append(session) }
    }

    /// Sends what the socket takes, and does with it what the server wants.
    private mutating func visit(_ connection: Connection) {
        if !connection.isFull { sendOutput(of: connection) }
        switch server.interest(in: connection.session) {
        case .close: close(connection)
        case .open(let reads, let writes):
            connection.reads = reads && !connection.hasEnded
            var awaited: Conditions = connection.hasEnded ? [] : .halfClosed
            if connection.reads { awaited.insert(.readable) }
            if writes && connection.isFull { awaited.insert(.writable) }
            guard awaited != connection.awaited else { return }
            connection.awaited = awaited
            waiting.events.change(connection.socket.rawValue, .session(connection.session), awaited)
        }
    }

    private mutating func sendOutput(of connection: Connection) {
        let session = connection.session
        let outcome: Connection.SendOutcome? = server.withOutput(of: session) { output in
            output.isEmpty ? nil : connection.send(output)
        }
        switch outcome {
        case .all(let count): server.wrote(count, to: session, at: now)
        case .part(let count):
            connection.isFull = true
            server.wrote(count, to: session, at: now)
        case .broken: server.died(session, at: now)
        case nil: break
        }
    }

    // MARK: - Sessions

    var sessionCount: Int { connections.count }

    /// Tells all sessions that the daemon is leaving.
    mutating func drain() {
        server.drain()
        send()
    }

    /// Another policy holds from now on, for those who are here too.
    mutating func setPolicy(_ policy: Policy) { connections.setPolicy(policy, of: &server) }

    /// Begins a session on a connection that was just accepted.
    ///
    /// An error says that the system has no room for it; the client was told so, and the connection is closed.
    mutating func admit(_ socket: consuming OwnedDescriptor) throws(SystemError) {
        let connection = try connections.admit(socket, to: &server, in: waiting.events, at: now)
        if let connection, connection.watch == .gone {
            ends.append(End(session: connection.session, cause: .processDied))
        }
    }

    private mutating func close(_ connection: Connection) {
        connections.close(connection, in: &server, at: now)
        hasClosedSome = true
    }
}
