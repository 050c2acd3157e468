import CLinux
import Glibc
import LockVocabulary
import Posix

/// The watches on the processes that connected: one for each process, however many sessions it has (G6).
///
/// The daemon watches a session's process in the first of these ways that works:
/// 1. `SO_PEERPIDFD` (Linux 6.5): a descriptor of the very process that called `connect()`.
/// 2. `pidfd_open` on the process id in the socket's credentials. The process may have ended before, and another process may
///    have its id. If that process started after the daemon accepted the connection, or during this check, its start time
///    reveals it. If it started while the connection was in the backlog, nothing does. Then the session ends with its
///    socket, or with the other process: late, but never while its own process lives.
/// 3. The socket alone: the session ends when every process that has the socket open has closed it or ended. Only this
///    works on a kernel before 5.3, where a seccomp filter or a sandbox refuses `pidfd_open`, and, on a kernel without
///    `SO_PEERPIDFD`, for a process that this namespace cannot see (its id is 0).
///
/// Invariants:
/// 1. A watch has at least one session. It is a member of the event set until the loop has noted the end of its process.
/// 2. A session shares a watch only if both its own process and the watched process were alive when it came: two processes
///    that live at the same time differ in their ids. Processes that this namespace cannot see share no watch.
struct ProcessWatches: ~Copyable {
    private final class Watch {
        /// Nil for a process that this namespace cannot see.
        let process: Int32?
        let descriptor: ProcessWatch
        var sessions: Set<SessionID> = []

        init(_ process: Int32?, _ descriptor: consuming ProcessWatch) {
            self.process = process
            self.descriptor = descriptor
        }
    }

    enum Outcome: Equatable {
        /// The watch has this descriptor.
        case watched(Int32)
        /// The session has only its socket.
        case unseen
        /// The process has ended, and so must the session.
        case gone
    }

    /// All watches, by the numbers of their descriptors.
    private var watches: [Int32: Watch] = [:]
    /// The watch of each process id; of two processes with one id, the watch of the living one.
    private var byProcess: [Int32: Watch] = [:]
    /// The ways that the kernel and a seccomp filter permit.
    private let support: ProcessWatch.Support

    init(_ support: ProcessWatch.Support) { self.support = support }

    var count: Int { watches.count }

    /// Watches the process at the other end of a session's new socket.
    ///
    /// - Throws: that no descriptor is left, or no memory in the kernel.
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

    /// Removes a session, and a watch with its last session.
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

    /// Opens a descriptor of the session's process in the first way that works.
    private func open(
        _ socket: borrowing OwnedDescriptor, _ process: Int32?
    ) throws(SystemError) -> Opening {
        do throws(SystemError) {
            if support.asksSocket { return .watch(try ProcessWatch(peerOf: socket)) }
        } catch {
            // Which of these codes means that the process is gone depends on the kernel's version.
            if [ESRCH, EINVAL, ENODATA].contains(error.code) { return .gone }
            if error.isShortage { throw error }
        }
        guard support.opensProcess, let process else { return .unseen }
        do throws(SystemError) {
            let accepted = ProcessStartTime.now
            let before = ProcessStartTime(of: process)
            let watch = try ProcessWatch(descriptorOf: process)
            let after = ProcessStartTime(of: process)
            // If /proc hides other users' processes, there is no start time to compare.
            if let before, before > accepted || after != before { return .gone }
            return .watch(watch)
        } catch {
            if [ESRCH, EINVAL].contains(error.code) { return .gone }
            if error.isShortage { throw error }
            return .unseen
        }
    }
}
