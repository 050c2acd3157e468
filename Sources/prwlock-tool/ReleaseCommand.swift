import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// `prwlock release`: the end of a `prwlock hold`.
///
/// The holder is found by the lock's own status: its grant's owner is named after the process that it holds for, and
/// the daemon says which process it is. No file of who holds what can then be stale, or be in the way after a crash.
/// It is asked by TERM, after two looks: that it is a holder by name, and that it still has this grant once it is
/// watched, so that the process id cannot have become another's. When it has ended, the lock was released.
struct ReleaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "Release a lock that `prwlock hold` holds.")

    @OptionGroup var process: ProcessOptions
    @OptionGroup var daemon: DaemonOptions

    @Argument(help: "The lock's name.", completion: LockNames.completion)
    var name: NameArgument

    func run() throws {
        try complaining { () throws(Complaint) in try release() }
    }

    private func release() throws(Complaint) {
        var connection = try daemon.connect()
        // The last of several, as brackets close.
        guard let grant = try grants(over: &connection).last, let holder = grant.processID else {
            throw Complaint(
                "\(name.name): process \(process.id) does not hold it; "
                    + "`prwlock status \(name.name)` says who does",
                code: Complaint.no)
        }
        guard Self.isHolder(holder) else {
            throw Complaint(
                "\(name.name): process \(holder) holds it, and is not one of `prwlock hold`",
                code: Complaint.notPermitted)
        }
        guard let watch = try? ProcessWatch(process: holder),
            try grants(over: &connection).contains(where: { $0.token == grant.token })
        else { return }
        do throws(SystemError) {
            try watch.send(SIGTERM)
        } catch  where error.code == ESRCH {
            return
        } catch {
            guard error.code == EPERM else { throw Complaint(error) }
            throw Complaint(
                "\(name.name): another user's process \(holder) holds it", code: Complaint.notPermitted)
        }
        guard watch.hasEnded(within: Self.patience) else {
            throw Complaint(
                "\(name.name): process \(holder) was told to release it and has not; is it stopped?",
                code: Complaint.temporary)
        }
    }

    /// How long a holder may take to release and to end.
    private static let patience = Duration.seconds(10)

    /// What is held for the process under this name, the oldest grant first.
    private func grants(over connection: inout BlockingConnection) throws(Complaint) -> [Row.Holder] {
        let owner = HoldOwner(process: process.id).owner
        var grants: [Row.Holder] = []
        _ = try connection.ask(.status(name.name)) { row in
            if case .holder(let holder) = row, holder.owner == owner { grants.append(holder) }
        }
        return grants
    }

    private static func isHolder(_ process: Int32) -> Bool {
        guard let name = try? FileContents.read("/proc/\(process)/comm") else { return false }
        return String(decoding: name, as: UTF8.self) == Holder.processName + "\n"
    }
}
