import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The grant of a background process, which holds it for a client and changes it for later calls of `prwlock hold`.
///
/// A process holds a lock once, as an open file is locked once: a later `hold` for the same process changes the mode,
/// and is granted at once if the mode is the same (as `flock(1)` does with one descriptor). Only this process can change
/// the grant, because the grant belongs to its session (G6). So the later call finds it by its mark, and asks it.
///
///                 a caller connects                asks for another mode
///     [ HOLDING ] ─────────────────▶ [ HEARING ] ──────────────────────▶ [ CHANGING ]
///          ▲                           │     ▲                                │
///          └──── the caller hangs up ──┘     └── passes on the daemon's reply ┘
///
/// 1. It serves one caller at a time. The others wait in the socket's backlog.
/// 2. A change that the daemon refuses leaves the grant as it was. `flock(2)` would have lost the lock.
/// 3. If a caller hangs up in `CHANGING`, the change is cancelled, and undone if it was granted nevertheless.
struct GrantKeeper: ~Copyable {
    private let request: Acquire
    private let callers: OwnedDescriptor
    private let callersName: String
    private var token: Token
    private var mode: LockMode
    /// The descriptor of the mark; -1 without one.
    private var mark: Int32 = -1
    private var upkeep: Upkeep
    private var caller: HoldCaller?
    private var pending: Change?

    /// A change of mode that the daemon has not answered.
    private struct Change {
        let mode: LockMode
        /// The grant that an answer of the daemon replaces and does not end itself.
        let replaced: Token?
    }

    /// The tag of changes, which tells their replies from those to renewals.
    private static let tag = Tag("change")

    init(_ request: Acquire, _ token: Token, until: Instant?) throws(Complaint) {
        self.request = request
        self.token = token
        mode = request.mode
        upkeep = Upkeep(request, token, until: until)
        // Other users see the name but are refused, and cannot take it before this process does.
        callersName = "prwlock-holder-" + String(UInt64.random(in: .min ... .max), radix: 16)
        do throws(SystemError) {
            callers = try AbstractSocket.listen(named: callersName, backlog: 64)
        } catch {
            throw Complaint(error)
        }
    }

    /// The descriptors to keep open in the background.
    var descriptors: [Int32] { [callers.rawValue, mark].filter { $0 >= 0 } }

    /// Lets `release` and later calls find this process.
    mutating func openMark(over connection: borrowing BlockingConnection) {
        let mark = HolderMark(request.name, request.owner, token, over: connection)
        let former = self.mark
        self.mark = mark.open(announcing: callersName)
        if former >= 0 { close(former) }
    }

    /// Holds the grant until the client ends, TERM arrives, or the grant is lost. Returns how it was lost; nil if it
    /// was released.
    mutating func hold(
        over connection: inout BlockingConnection, for client: Int32, until termination: Int32
    ) -> Upkeep.Loss? {
        while true {
            // The next caller waits until the change of the one before is settled.
            let third = caller?.rawValue ?? (pending == nil ? callers.rawValue : nil)
            let watched = [client, termination, third].compactMap(\.self)
            switch upkeep.keep(over: &connection, watching: watched) {
            case .lost(let loss): return loss
            case .answered(let reply): settle(reply, over: &connection)
            case .ready(2): hear(over: &connection)
            case .ready:
                release(token, over: &connection)
                return nil
            }
        }
    }

    /// Releases a grant, and waits for that: `prwlock release` waits only for the end of this process.
    private func release(_ token: Token, over connection: inout BlockingConnection) {
        _ = try? connection.ask(.release(request.name, GrantChoice(token: token)))
    }

    // MARK: Callers

    private mutating func hear(over connection: inout BlockingConnection) {
        guard let caller else {
            self.caller = HoldCaller(from: callers)
            return
        }
        guard let requests = caller.requests(), requests.count <= 1, pending == nil || requests.isEmpty else {
            hangUp(over: &connection)
            return
        }
        guard let wanted = requests.first else { return }
        guard wanted.name == request.name, wanted.owner == request.owner else {
            return hangUp(over: &connection)
        }
        change(to: wanted.mode, wait: wanted.wait, over: &connection)
    }

    private mutating func hangUp(over connection: inout BlockingConnection) {
        caller = nil
        guard pending != nil else { return }
        try? connection.send(Request(verb: .cancel(request.name, owner: request.owner)))
    }

    // MARK: Changes

    private mutating func change(
        to wanted: LockMode, wait: TimeLimit, over connection: inout BlockingConnection
    ) {
        guard wanted != mode else {
            caller?.answer(.granted(request.name, mode, token, ownerDied: nil))
            return
        }
        let choice = GrantChoice(token: token)
        var replaced: Token?
        let verb: Verb
        if wanted < mode {
            verb = .downgrade(request.name, choice, to: wanted)
        } else if wanted == .write {
            verb = .upgrade(request.name, choice, wait: wait)
        } else {
            // No request changes `read` to `update`. But an owner may hold both, and then release one.
            var second = request
            (second.mode, second.wait) = (wanted, wait)
            verb = .acquire(second)
            replaced = token
        }
        pending = Change(mode: wanted, replaced: replaced)
        // If the session has ended, `keep` reports that next, so ignore the error here.
        try? connection.send(Request(tag: Self.tag, verb: verb))
    }

    private mutating func settle(_ reply: Reply, over connection: inout BlockingConnection) {
        guard let change = pending else { return }
        pending = nil
        if case .granted(_, _, let token, _, _, let until) = reply {
            let before = mode
            mode = change.mode
            if let replaced = change.replaced { release(replaced, over: &connection) }
            if token != self.token {
                self.token = token
                upkeep = Upkeep(request, token, until: until?.end(readAt: .now))
                // Before the caller gets the answer: then it may call `release`.
                openMark(over: connection)
            }
            if caller == nil, before < mode {
                try? connection.send(
                    Request(verb: .downgrade(request.name, GrantChoice(token: token), to: before)))
                mode = before
            }
        }
        caller?.answer(reply)
    }
}
