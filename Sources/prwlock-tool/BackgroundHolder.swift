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

    private let request: Acquire
    private let lock: LockOptions
    private let daemon: DaemonOptions

    init(_ request: Acquire, _ lock: LockOptions, _ daemon: DaemonOptions) {
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
            try refuseCircle(over: &attempt.connection, by: attempt.end)
            switch try attempt.decide(watching: [front.rawValue, client.rawValue]) {
            case .abandoned: return
            case .conflict(let holders):
                throw lock.conflict(request.name, holders, after: attempt.elapsed)
            case .granted(let token, _):
                if lock.verbose {
                    StandardError.report("\(request.name.shown): granted after \(attempt.elapsed.inWords)")
                }
                let loss = hold(token, over: &attempt.connection, for: client, answering: front)
                if loss != nil, signallingLoss { try? client.send(SIGTERM) }
            }
        } catch {
            if !error.line.isEmpty { StandardError.report(error.line) }
            _ = Answer(code: error.code).send(to: front)
        }
    }

    /// Refuses a request that the client, or an ancestor of the client, blocks by a lock that it holds already: the
    /// request would wait for ever.
    private func refuseCircle(
        over connection: inout BlockingConnection, by end: Deadline
    ) throws(Complaint) {
        let patience = min(end.left ?? CallTime.patience, CallTime.patience)
        let holders = try LockReport(of: request.name, over: &connection, patience: patience).holders
        if holders.contains(where: {
            $0.row.owner == request.owner && $0.row.mode.conflicts(with: request.mode)
        }) {
            throw Complaint(
                "\(request.name.shown): this process holds it already; "
                    + "`prwlock release \(request.name.typed)` first",
                code: Int32(lock.conflictExitCode))
        }
        guard let ancestor = try AncestorGrant.find(on: request.name, over: &connection, by: end),
            ancestor.forbids(request.mode)
        else { return }
        throw ancestor.refusal(
            of: request.name, code: lock.conflictExitCode, hint: "it need not be held once more")
    }

    /// Holds the grant until the client ends, TERM arrives, or the grant is lost. Returns how it was lost; nil if it
    /// was released.
    private func hold(
        _ token: Token, over connection: inout BlockingConnection, for client: borrowing ProcessWatch,
        answering front: borrowing OwnedDescriptor
    ) -> Upkeep.Loss? {
        let mark = HolderMark(request.name, request.owner, token, over: connection).open()
        BackgroundProcess.become(
            Self.processName, keeping: [connection.descriptor, client.rawValue, front.rawValue, mark])
        let termination = Self.termination()
        var event = Upkeep.Event.ready(0)
        // After the answer the script continues, and it may run `prwlock release` at once.
        if Answer(code: 0, token: token.rawValue).send(to: front) {
            var upkeep = Upkeep(request, token)
            event = upkeep.keep(over: &connection, watching: [client.rawValue, termination])
        }
        if case .lost(let loss) = event { return loss }
        // `prwlock release` waits until this process ends, so the lock must be free before that.
        _ = try? connection.ask(.release(request.name, GrantChoice(token: token)))
        return nil
    }

    /// A descriptor that becomes readable when TERM arrives. All signals are blocked here.
    private static func termination() -> Int32 {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        return signalfd(-1, &signals, Int32(SFD_CLOEXEC))
    }
}
