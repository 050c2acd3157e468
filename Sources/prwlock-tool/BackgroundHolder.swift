import CLinux
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The process behind `prwlock hold`: it asks for the lock, and holds it while the process lives that it is for.
struct BackgroundHolder {
    /// What the process in front is told: how it shall end, and the token.
    struct Answer {
        var code: Int32
        var token: UInt64 = 0

        init(code: Int32, token: UInt64 = 0) {
            self.code = code
            self.token = token
        }

        /// Waits for the answer; without one the holder has died.
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

        /// False if nobody waits for it any more.
        func send(to socket: borrowing OwnedDescriptor) -> Bool {
            var bytes: [UInt8] = []
            withUnsafeBytes(of: code) { bytes += $0 }
            withUnsafeBytes(of: token) { bytes += $0 }
            return Glibc.send(socket.rawValue, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
        }
    }

    /// How `release` knows such a process from any other that may hold a lock.
    static let processName = "prwlock-holder"

    private let request: Acquire
    private let lock: LockOptions
    private let daemon: DaemonOptions

    init(_ request: Acquire, _ lock: LockOptions, _ daemon: DaemonOptions) {
        self.request = request
        self.lock = lock
        self.daemon = daemon
    }

    /// Asks, answers, and holds; the process that it holds for gets TERM if the grant is lost, if told so.
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
                    StandardError.say("\(request.name.shown): granted after \(attempt.elapsed.inWords)")
                }
                let loss = hold(token, over: &attempt.connection, for: client, answering: front)
                if loss != nil, signallingLoss { try? client.send(SIGTERM) }
            }
        } catch {
            if !error.line.isEmpty { StandardError.say(error.line) }
            _ = Answer(code: error.code).send(to: front)
        }
    }

    /// What the process, or one that it descends from, holds already it would wait for in vain.
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

    /// Holds until it is no longer needed, or lost; how it was lost.
    private func hold(
        _ token: Token, over connection: inout BlockingConnection, for client: borrowing ProcessWatch,
        answering front: borrowing OwnedDescriptor
    ) -> Upkeep.Loss? {
        let mark = HolderMark(request.name, request.owner, token, over: connection).open()
        BackgroundProcess.become(
            Self.processName, keeping: [connection.descriptor, client.rawValue, front.rawValue, mark])
        let termination = Self.termination()
        var event = Upkeep.Event.ready(0)
        // From the answer on the script goes on, and may ask for the release at once.
        if Answer(code: 0, token: token.rawValue).send(to: front) {
            var upkeep = Upkeep(request, token)
            event = upkeep.keep(over: &connection, watching: [client.rawValue, termination])
        }
        if case .lost(let loss) = event { return loss }
        // `prwlock release` waits for the end of this process, so the lock is to be free by then.
        _ = try? connection.ask(.release(request.name, GrantChoice(token: token)))
        return nil
    }

    /// A descriptor that is ready when the process was asked to end; all signals are blocked.
    private static func termination() -> Int32 {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        return signalfd(-1, &signals, Int32(SFD_CLOEXEC))
    }
}
