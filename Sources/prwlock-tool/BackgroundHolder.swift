import CLinux
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The background process of `prwlock hold`: it requests the lock and holds it for as long as its client process lives.
struct BackgroundHolder {
    /// The result that the background process sends to the foreground process: the exit code and the token.
    struct Answer {
        var code: Int32
        var token: UInt64 = 0

        init(code: Int32, token: UInt64 = 0) {
            self.code = code
            self.token = token
        }

        /// Waits for the answer. If the holder dies without one, the answer is an error.
        init(from socket: borrowing OwnedDescriptor) {
            self.init(code: Complaint.system)
            var bytes = [UInt8](repeating: 0, count: 12)
            guard recv(socket.rawValue, &bytes, bytes.count, Int32(MSG_WAITALL)) == bytes.count else {
                return
            }
            bytes.withUnsafeBytes {
                code = $0.loadUnaligned(as: Int32.self)
                token = $0.loadUnaligned(fromByteOffset: 4, as: UInt64.self)
            }
        }

        /// Returns false if the foreground process no longer waits for the answer.
        func send(to socket: borrowing OwnedDescriptor) -> Bool {
            var bytes: [UInt8] = []
            withUnsafeBytes(of: code) { bytes += $0 }
            withUnsafeBytes(of: token) { bytes += $0 }
            return Glibc.send(socket.rawValue, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
        }
    }

    /// `release` recognises a background holder by this process name.
    static let processName = "prwlock-holder"

    /// How often the mark of a grant is looked for, and the microseconds in between.
    private static let mostLooks = 10
    private static let pauseBetweenLooks: UInt32 = 25_000

    private let request: Acquire
    private let lock: LockTerms
    private let daemon: DaemonChoice

    init(_ request: Acquire, _ lock: LockTerms, _ daemon: DaemonChoice) {
        self.request = request
        self.lock = lock
        self.daemon = daemon
    }

    /// Requests the lock, answers `front`, and holds the lock. If the grant is lost and `signallingLoss` is set, sends
    /// TERM to the client.
    func run(
        for client: borrowing ProcessWatch, signallingLoss: Bool, answering front: borrowing OwnedDescriptor
    ) {
        do throws(Complaint) {
            var attempt = try LockAttempt(request, at: daemon)
            let holder = try earlierHolder(over: &attempt.connection, by: attempt.end)
            if holder == nil { try refuseOwnGrant(over: &attempt.connection, by: attempt.end) }
            try refuseAncestor(over: &attempt.connection, by: attempt.end)
            if let holder { attempt.ask(holder: holder) }
            switch try attempt.decide(
                watching: [front.rawValue, client.rawValue], lookingBy: lookForOtherRequest)
            {
            case .abandoned: return
            case .conflict(let holders):
                throw lock.conflict(request.name, holders, after: attempt.elapsed)
            case .granted(let token, _, let until):
                if lock.verbose {
                    StandardError.report("\(request.name.shown): granted after \(attempt.elapsed.inWords)")
                }
                guard !attempt.asksHolder else {
                    _ = Answer(code: 0, token: token.rawValue).send(to: front)
                    return
                }
                let loss = try hold(
                    token, until: until, over: &attempt.connection, for: client, answering: front)
                if loss != nil, signallingLoss { try? client.send(SIGTERM) }
            }
        } catch {
            if !error.line.isEmpty { StandardError.report(error.line) }
            _ = Answer(code: error.code).send(to: front)
        }
    }

    /// Connects to the process of this user that holds the lock for the client already; nil if there is none.
    private func earlierHolder(
        over connection: inout BlockingConnection, by end: Deadline
    ) throws(Complaint) -> OwnedDescriptor? {
        var seen: Token?
        var looks = 0
        while true {
            var own: Row.Holder?
            _ = try connection.ask(.status(request.name), patience: patience(by: end)) { row in
                if case .holder(let holder) = row, holder.owner == request.owner { own = holder }
            }
            guard let own else { return nil }
            let mark = HolderMark(request.name, request.owner, own.token, over: connection)
            if let holder = mark.find(likely: own.processID)?.connect() { return holder }
            // A change gives the grant another token, and the holder another mark. A new holder opens its mark soon.
            if own.token == seen { looks += 1 } else { looks = 0 }
            guard looks < Self.mostLooks else { return nil }
            if looks > 0 { usleep(Self.pauseBetweenLooks) }
            seen = own.token
        }
    }

    /// Looks whether a `prwlock hold` that runs at the same time has requested the lock for the client.
    ///
    /// This process would wait for it until the client ends. The daemon does not see that, because the two requests are
    /// of two sessions.
    private func lookForOtherRequest(by end: Deadline) -> LockAttempt.OtherRequest {
        do throws(Complaint) {
            var connection = try daemon.connect(by: end)
            var (isHeld, waiters) = (false, 0)
            _ = try connection.ask(.status(request.name), patience: patience(by: end)) { row in
                if case .holder(let holder) = row, holder.owner == request.owner { isHeld = true }
                if case .waiter(let waiter) = row, waiter.owner == request.owner { waiters += 1 }
            }
            if isHeld, let holder = try earlierHolder(over: &connection, by: end) { return .granted(holder) }
            // One of the waiters is the request of this process.
            return isHeld || waiters > 1 ? .waiting : .absent
        } catch {
            // The daemon is slow, has no room, or leaves. That says nothing of other requests.
            return .unknown
        }
    }

    private func patience(by end: Deadline) -> Duration {
        min(end.left ?? CallTime.patience, CallTime.patience)
    }

    /// Refuses a request that conflicts with a grant of the client that no process here can change: the request would
    /// wait for ever.
    private func refuseOwnGrant(over connection: inout BlockingConnection, by end: Deadline) throws(Complaint)
    {
        var conflicts = false
        _ = try connection.ask(.status(request.name), patience: patience(by: end)) { row in
            if case .holder(let holder) = row, holder.owner == request.owner {
                conflicts = conflicts || holder.mode.conflicts(with: request.mode)
            }
        }
        guard conflicts else { return }
        throw Complaint(
            "\(request.name.shown): this process holds it already, by a process that cannot be reached from here; "
                + "`prwlock release \(request.name.typed)` first", code: Int32(lock.conflictExitCode))
    }

    /// Refuses a request that an ancestor of the client blocks: the ancestor waits for the client.
    private func refuseAncestor(over connection: inout BlockingConnection, by end: Deadline) throws(Complaint)
    {
        let ancestor = try AncestorGrant.find(
            on: request.name, over: &connection, by: end, besides: request.owner)
        guard let ancestor, ancestor.forbids(request.mode) else { return }
        throw ancestor.refusal(
            of: request.name, code: lock.conflictExitCode, hint: "it need not be held once more")
    }

    /// Holds the grant until the client ends, TERM arrives, or the grant is lost. Returns how it was lost; nil if it
    /// was released.
    private func hold(
        _ token: Token, until: Instant?, over connection: inout BlockingConnection,
        for client: borrowing ProcessWatch, answering front: borrowing OwnedDescriptor
    ) throws(Complaint) -> Upkeep.Loss? {
        var keeper = try GrantKeeper(request, token, until: until)
        keeper.openMark(over: connection)
        BackgroundProcess.become(
            Self.processName,
            keeping: [connection.descriptor, client.rawValue, front.rawValue] + keeper.descriptors)
        let termination = Self.termination()
        // After the answer the script continues, and it may run `prwlock release` at once.
        guard Answer(code: 0, token: token.rawValue).send(to: front) else {
            _ = try? connection.ask(.release(request.name, GrantChoice(token: token)))
            return nil
        }
        return keeper.hold(over: &connection, for: client.rawValue, until: termination)
    }

    /// A descriptor that becomes readable when TERM arrives. All signals are blocked here.
    private static func termination() -> Int32 {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        return signalfd(-1, &signals, Int32(SFD_CLOEXEC))
    }
}
