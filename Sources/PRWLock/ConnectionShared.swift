import LockVocabulary
import LockWire
import Posix
import Rendezvous

extension Connection {
    /// What the tasks and threads of one connection share: its state, who waits until when, and what is to be sent.
    struct Shared {
        var state = ConnectionState()
        var answers: [ConnectionState.RequestID: Promise<Answer>] = [:]
        /// Until when the callers wait for their answers.
        var ends: [ConnectionState.RequestID: Deadline] = [:]
        /// How long the daemon may be silent to those that ask for rows.
        var patience: [ConnectionState.RequestID: Duration] = [:]
        /// When the keeper looks at `ends` next.
        var nextLook = Deadline.never
        var holds: [Token: Hold] = [:]
        var outgoing: [UInt8] = []
        var isSending = false
        /// Nil before it is connected and after its end.
        var socket: Socket?
        /// Why there is no connection so far.
        var obstacle: RendezvousError?
        /// What a request is told that is given up.
        var silence = RendezvousError.noAnswer(SilentDaemon(at: "an unknown place"))
        /// Whether it shall end as soon as nothing is asked or held.
        var isRetired = false
        /// Why nothing can be asked any more.
        var failure = LockError.disconnected
    }

    /// A socket that is closed with its last user.
    final class Socket: Sendable {
        let descriptor: OwnedDescriptor
        var rawValue: Int32 { descriptor.rawValue }
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    /// What it takes to be told, without the lock.
    typealias Telling = @Sendable () -> Void
}

extension Connection.Shared {
    /// Gives the answer to the one that waits for it.
    mutating func telling(
        _ id: ConnectionState.RequestID, _ answer: Connection.Answer
    ) -> Connection.Telling? {
        ends[id] = nil
        patience[id] = nil
        guard let promise = answers.removeValue(forKey: id) else { return nil }
        return { promise.fulfil(answer) }
    }

    /// The request is to be answered by then at the latest, if it is not already.
    mutating func look(for id: ConnectionState.RequestID, at end: Deadline) {
        guard end != .never, answers[id] != nil else { return }
        ends[id] = min(end, ends[id] ?? .never)
    }

    /// A row has come, so that the daemon is not silent to the one that asked for it.
    mutating func awaitMoreRows(from now: Instant) {
        guard let id = state.currentListing, let patience = patience[id] else { return }
        ends[id] = Deadline(at: now.nanoseconds).later(by: patience)
    }

    /// Gives up the requests that should be answered by now, and finds when to look next.
    mutating func giveUpOverdue() -> [ConnectionState.Action] {
        let overdue = ends.filter(\.value.isOver).keys.sorted()
        for id in overdue { ends[id] = nil }
        nextLook = ends.values.min() ?? .never
        return overdue.flatMap { state.giveUp($0) }
    }
}
