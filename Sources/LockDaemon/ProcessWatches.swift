import CLinux
import Glibc
import LockVocabulary
import Posix

/// Which processes' deaths the daemon waits for: one watch for each process, however many sessions it has (G6).
///
/// A session is watched in the first of these ways that works:
/// 1. `SO_PEERPIDFD` (Linux 6.5): a descriptor of the very process that called `connect()`.
/// 2. `pidfd_open` on the process id in the socket's credentials. The process may have ended before, and its id may
///    be another's by now. If that one started after the connection was taken from the backlog, or while this
///    looked, the start time shows it. If it started while the connection stood in the backlog, it goes unseen;
///    then the session ends with its socket, or with that other process: late, but never while its own process lives.
/// 3. The socket alone: the session ends when every process that has it open has closed it or ended. This remains where
///    the kernel is older than 5.3, where a seccomp filter or a sandbox refuses `pidfd_open`, and for a process that
///    cannot be seen from here (its id is 0) on a kernel without `SO_PEERPIDFD`.
///
/// Invariants:
/// 1. A watch has at least one session, and is a member of the event set.
/// 2. A session shares a watch only if its own process was seen alive, and the watch's process too, when it came:
///    two processes that live at once have not the same id. Processes that cannot be seen from here share none.
struct ProcessWatches: ~Copyable {
    private final class Watch {
        /// Nil for a process that cannot be seen from here.
        let process: Int32?
        let descriptor: ProcessWatch
        var sessions: Set<SessionID> = []

        init(_ process: Int32?, _ descriptor: consuming ProcessWatch) {
            self.process = process
            self.descriptor = descriptor
        }
    }

    enum Outcome: Equatable {
        /// By the watch with this descriptor.
        case watched(Int32)
        /// By its socket alone.
        case unseen
        /// The process is gone: the session is to end.
        case gone
    }

    /// By the number of their descriptors.
    private var watches: [Int32: Watch] = [:]
    /// The watch of each process; of two with one id, the one that lives.
    private var byProcess: [Int32: Watch] = [:]
    /// What this kernel, and a seccomp filter around the daemon, permit.
    private let support: ProcessWatch.Support

    init(_ support: ProcessWatch.Support) { self.support = support }

    var count: Int { watches.count }

    /// Watches the process at the other end of a session's socket, which was just accepted.
    ///
    /// An error says that there is no descriptor left, or no memory in the kernel.
    mutating func begin(
        _ session: SessionID, _ socket: borrowing OwnedDescriptor, process: Int32?,
        in events: borrowing EventSet
    ) throws(SystemError) -> Outcome {
        let own: ProcessWatch
        switch try open(socket, process) {
        case .watch(let watch): own = watch
        case .unseen: return .unseen
        case .gone: return .gone
        }
        if own.hasEnded { return .gone }
        if let process, let shared = byProcess[process], !shared.descriptor.hasEnded {
            shared.sessions.insert(session)
            return .watched(shared.descriptor.rawValue)
        }
        let watch = Watch(process, own)
        let number = watch.descriptor.rawValue
        try events.add(number, .process(number), .readable)
        watch.sessions.insert(session)
        watches[number] = watch
        if let process { byProcess[process] = watch }
        return .watched(number)
    }

    /// The sessions of a watch.
    func sessions(of watch: Int32) -> Set<SessionID> { watches[watch]?.sessions ?? [] }

    /// The session has ended; a watch goes with its last session.
    mutating func end(_ session: SessionID, of number: Int32) {
        guard let watch = watches[number] else { return }
        watch.sessions.remove(session)
        guard watch.sessions.isEmpty else { return }
        watches[number] = nil
        if let process = watch.process, byProcess[process] === watch { byProcess[process] = nil }
    }

    private enum Opening: ~Copyable {
        case watch(ProcessWatch)
        case unseen
        case gone
    }

    /// A descriptor of the session's process, by the first way that works.
    private func open(
        _ socket: borrowing OwnedDescriptor, _ process: Int32?
    ) throws(SystemError) -> Opening {
        do throws(SystemError) {
            if support.asksSocket { return .watch(try ProcessWatch(peerOf: socket)) }
        } catch {
            // Which of them says that the process is gone depends on the kernel's version.
            if [ESRCH, EINVAL, ENODATA].contains(error.code) { return .gone }
            if error.isShortage { throw error }
        }
        guard support.opensProcess, let process else { return .unseen }
        do throws(SystemError) {
            let accepted = ProcessStartTime.now
            let before = ProcessStartTime(of: process)
            let watch = try ProcessWatch(descriptorOf: process)
            let after = ProcessStartTime(of: process)
            // Where /proc hides other users' processes there is nothing to compare.
            if let before, before > accepted || after != before { return .gone }
            return .watch(watch)
        } catch {
            if [ESRCH, EINVAL].contains(error.code) { return .gone }
            if error.isShortage { throw error }
            return .unseen
        }
    }
}
