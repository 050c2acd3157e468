import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// `prwlock release`: ends a `prwlock hold`.
///
/// It finds the grant in the status of the lock, by the owner: the owner's name contains the process that the lock is
/// held for. It finds the holding process by the mark that the process has open (`HolderMark`); the process id that the
/// daemon reports may be another process in this namespace. No file records the holders, so none can be stale after a
/// crash. The command sends TERM to the holder and waits for its end; then the lock is free.
struct ReleaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "Release a lock that `prwlock hold` holds.")

    @OptionGroup var process: ProcessOptions
    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var lockName: NameOptions

    func run() throws {
        try complaining { () throws(Complaint) in try release() }
    }

    private func release() throws(Complaint) {
        let shown = lockName.name.shown
        var connection = try daemon.connect()
        // The newest grant is released first, as brackets close.
        guard let grant = try grants(over: &connection).last else {
            let processes = process.candidates.map(String.init).joined(separator: " or ")
            throw Complaint(
                "\(shown): process \(processes) does not hold it; "
                    + "`prwlock status \(lockName.name.typed)` says which does",
                code: Complaint.no)
        }
        let mark = HolderMark(lockName.name, grant.owner, grant.token, over: connection)
        guard let found = mark.find(likely: grant.processID) else {
            // The process may have released the lock and ended after the first query.
            guard try grants(over: &connection).contains(where: { $0.token == grant.token }) else { return }
            throw Complaint(
                "\(shown): the process that holds it (\(grant.processID.map(String.init) ?? "?")) is another user's, or "
                    + "not one of `prwlock hold`", code: Complaint.notPermitted)
        }
        do throws(SystemError) {
            try found.watch.send(SIGTERM)
        } catch  where error.code == ESRCH {
            return
        } catch {
            guard error.code == EPERM else { throw Complaint(error) }
            throw Complaint(
                "\(lockName.name.shown): another user's process \(found.process) holds it",
                code: Complaint.notPermitted)
        }
        guard found.watch.hasEnded(within: Self.patience) else {
            throw Complaint(
                "\(lockName.name.shown): process \(found.process) was told to release it and has not; is it stopped?",
                code: Complaint.temporary)
        }
    }

    /// How long a holder may take to release the lock and to end.
    private static let patience = Duration.seconds(10)

    /// The grants on this lock for the first candidate that has any, the oldest first.
    private func grants(over connection: inout BlockingConnection) throws(Complaint) -> [Row.Holder] {
        var rows: [Row.Holder] = []
        _ = try connection.ask(.status(lockName.name)) { row in
            if case .holder(let holder) = row { rows.append(holder) }
        }
        for candidate in process.candidates {
            let owner = HoldOwner(process: candidate).owner
            let grants = rows.filter { $0.owner == owner }
            if !grants.isEmpty { return grants }
        }
        return []
    }
}

extension ProcessWatch {
    /// Waits for the end of the process. Returns false if it does not end in time.
    func hasEnded(within time: Duration) -> Bool {
        let deadline = Deadline(after: time)
        while true {
            var request = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
            if poll(&request, 1, deadline.milliseconds) == 1 { return true }
            if deadline.isOver { return false }
        }
    }
}
