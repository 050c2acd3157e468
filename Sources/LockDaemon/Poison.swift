import LockServer
import LockVocabulary
import Posix

/// Care: a worker carries out one line at a time, so that a line that ends a worker costs only its session.
///
/// A line may have the process crash, or never end so that the keeper kills it. The bytes of the line stand in the ledger, so
/// the next worker would carry it out again, and the one after it. The worker cannot know which line of a batch it was. So it
/// finds out:
///
///                   a worker has crashed, or the note is set           nothing is left of what was found
///  ( start ) ──┬───────────────────────────────────────▶ [ CAREFUL ] ────────────────────────────▶ [ NORMAL ]
///              │                                          │       ▲
///              └──▶ [ NORMAL ]       ┌────────────────────┘       └────────────────────┐
///                                    └─▶ note S ──▶ one line of S ──▶ commit ──▶ send ─┘
///                                              a crash here: the next worker cuts S off
///
/// - At its start, a careful worker has the server hold all input that it finds in the ledger, beside the lines that were
///   held before, and commits that: from now on, all of it is in the facts of the sessions, and each commit keeps the rest.
/// - In each batch, ends and what is due come first, and are committed. Then one session has one line carried out, or one page
///   of rows written. A note in the ledger names that session and the batch. Nothing new is read meanwhile, but for the last
///   lines of sessions that have ended. A line about a lock of such a session waits for these, and others are carried out.
/// - The note is set until no line is left that can be carried out. So a kill from outside does not end the care.
///
/// The note counts only in its batch: the commit makes it void with its one store. The interleavings, for a line L of a
/// session S that ends each worker:
/// 1. L ends a normal worker: the next one is careful. Lines before L are carried out, committed and answered, each by itself.
///    L ends the second worker, with the note. The third one cuts S off without carrying L out. It stays careful.
/// 2. A worker is killed from outside with the note set: the next one is careful, and blames no session.
/// 3. A worker is killed from outside before it has set the note: the keeper reports the crash until a worker was ready, and
///    that worker has set the note.
/// 4. The third worker ends before the commit of S's end: S is cut off by the fourth. It ends after the commit: the note is
///    void, and S is gone.
/// 5. A crash after the commit, while something is due, a session ends, or a new session begins: no session is blamed. Five of
///    these in ten seconds end in an empty start.
/// 6. L waits for room in S's socket when the care ends, and ends a normal worker later: what S was sent is counted at once, so
///    then L is a line that can be carried out, and the next worker finds it.
/// 7. L is the first line of a new session: the session is committed before its first read (`admit`). Else the next worker
///    would not know the session that it must cut off.
///
/// So a line costs two workers, and one if others had been found before it. The keeper does not count these crashes: then no
/// number of such lines has all sessions end. But it counts them if no other session holds or waits. Otherwise a state in
/// which every line ends the worker would never be left.
struct Care {
    /// What a former worker noted.
    enum Note {
        case none
        case careful
        /// It carried out a line of the session in this slot, and has not committed that.
        case carryingOut(slot: UInt32)
    }

    fileprivate(set) var isOn = false
    /// Sessions with lines, rows or an end left, the next one last. Once all had their turns, they are listed anew.
    fileprivate var turns: [SessionID] = []
    /// Whether the crashes before this worker came from a line that is gone now.
    fileprivate(set) var hasFoundCause = false
}

extension Reactor {
    /// Begins with care if that is needed. Returns whether all input that was found is held.
    mutating func beginCare(afterCrash hasCrashed: Bool) -> Bool {
        let note = continuity.inspect { $0.care } ?? .none
        server.shell.fatalLines = continuity.inspect { $0.fatalLineCount } ?? 0
        if case .none = note, !hasCrashed { return false }
        care.isOn = true
        if case .carryingOut(let slot) = note, hasCrashed {
            if let session = server.openConnections.first(where: { $0.session.slot == slot })?.session {
                care.hasFoundCause = !server.isAlone(session)
                server.cutOff(forFatalLine: session, of: program(of: session), at: now)
                server.shell.fatalLines += 1
            }
        }
        for slice in continuity.inspect({ $0.input }) ?? [] { server.hold(slice.bytes, from: slice.session) }
        commit()
        continuity?.beginCare(fatalLineCount: server.shell.fatalLines)
        return true
    }

    /// The program of a session's process; nil if it is not certain.
    private func program(of session: SessionID) -> String? {
        guard let connection = connections[session], let process = connection.process,
            case .watched(let watch) = connection.watch,
            let program = ProcessFacts.executable(of: process), !ProcessWatch.hasEnded(watch)
        else { return nil }
        return program
    }

    /// Takes one step of one session. What came before in this batch is committed, and sent.
    mutating func carryOutWithCare() {
        send()
        var next = nextWithCare()
        if next == nil {
            care.turns = server.unfinishedSessions.reversed()
            next = nextWithCare()
        }
        guard let (session, step) = next else {
            care.isOn = false
            continuity?.endCare()
            return
        }
        if step == .line { continuity?.willCarryOut(lineOf: session) }
        if !server.takeStep(of: session, at: now) { care.turns.removeLast() }
    }

    /// The next session that has a step to take.
    private mutating func nextWithCare() -> (SessionID, Server.Step)? {
        while let session = care.turns.last {
            if let step = server.nextStep(of: session) { return (session, step) }
            care.turns.removeLast()
        }
        return nil
    }
}
