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
        var connection = try daemon.choice.connect()
        let grants = try grants(over: &connection)
        if grants.isEmpty {
            let processes = process.candidates.map(String.init).joined(separator: " or ")
            throw Complaint(
                "\(lockName.name.shown): process \(processes) does not hold it; "
                    + "`prwlock status \(lockName.name.typed)` says which does",
                code: Complaint.no)
        }
        // There are several if calls of `hold` ran at the same time.
        for grant in grants.reversed() { try end(grant, over: &connection) }
    }

    private func end(_ grant: Row.Holder, over connection: inout BlockingConnection) throws(Complaint) {
        let shown = lockName.name.shown
        let mark = HolderMark(lockName.name, grant.owner, grant.token, over: connection)
        guard let found = mark.find(likely: grant.processID) else {
            // After the first query the process may have ended, or have changed the grant.
            let grants = try grants(over: &connection)
            guard grants.contains(where: { $0.token == grant.token }) else {
                if let changed = grants.last { try end(changed, over: &connection) }
                return
            }
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
