import Glibc
import LockVocabulary
import Posix
import Rendezvous

/// A search of the journal by `journalctl`.
struct JournalSearch {
    /// What to search for, as `LogSource` has it.
    let terms: [String]
    var since: String?
    var until: String?
    /// The number of newest entries; nil for all.
    var lines: Int?
    var follows = false

    /// The arguments of `journalctl`. No text in them can be an option, as each has its own one, or contains an equals sign.
    var arguments: [String] {
        var arguments = [
            "--quiet", "--no-pager", "--output=export",
            "--output-fields=\(LogEntry.fields.joined(separator: ","))",
        ]
        if let since { arguments.append("--since=\(since)") }
        if let until { arguments.append("--until=\(until)") }
        if let lines {
            arguments.append("--lines=\(lines)")
        } else if follows {
            arguments.append("--no-tail")
        }
        if follows { arguments.append("--follow") }
        return arguments + terms
    }

    /// Passes each entry on as it arrives. Returns at the end of the journal; never, if it follows.
    func run(in surroundings: Surroundings, entry: (LogEntry) -> Void) throws(Complaint) {
        let program = try JournalAccess.program(in: surroundings)
        let reading: Reading
        do throws(SystemError) { reading = try .begin(program, arguments, surroundings.environment) } catch {
            throw Complaint(error)
        }
        var export = JournalExport()
        while case let bytes = Self.next(reading.output), !bytes.isEmpty {
            for fields in export.read(bytes) { entry(LogEntry(fields)) }
        }
        var said: [UInt8] = []
        while case let bytes = Self.next(reading.errors), !bytes.isEmpty { said += bytes.prefix(4096) }
        let status = ChildProcess.status(of: reading.process, by: .never)
        // Some versions also fail if there is no entry.
        guard status != 0, let line = said.split(separator: UInt8(ascii: "\n")).last else { return }
        let reason = Harmless.show(Array(line))
        throw Complaint(
            "journalctl: \(reason)", code: reason.contains("parse") ? Complaint.usage : Complaint.system)
    }

    /// A running `journalctl`, with this process's ends of its streams.
    private struct Reading: ~Copyable {
        let output: OwnedDescriptor
        let errors: OwnedDescriptor
        let process: Int32

        static func begin(
            _ program: String, _ arguments: [String], _ environment: [String: String]
        ) throws(SystemError) -> Reading {
            let nothing = try DirectoryDescriptor("/dev").open("null", flags: O_RDWR)
            let outputs = try UnixSocket.pair()
            let complaints = try UnixSocket.pair()
            let process = try ChildProcess(
                executable: program, arguments: ["journalctl"] + arguments,
                environment: environment.map { "\($0.key)=\($0.value)" },
                descriptors: [nothing.rawValue, outputs.second.rawValue, complaints.second.rawValue]
            ).spawn()
            // Copies, so that only the program keeps the other ends, and the output ends with it.
            let output = try outputs.first.duplicate()
            return Reading(output: output, errors: try complaints.first.duplicate(), process: process)
        }
    }

    private static func next(_ socket: borrowing OwnedDescriptor) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let number = socket.rawValue
        while true {
            let count = Glibc.read(number, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            return Array(chunk.prefix(max(0, count)))
        }
    }
}

/// Whether this process can read the journal.
enum JournalAccess {
    /// The program that reads the journal, if this user may read it.
    static func program(in surroundings: Surroundings) throws(Complaint) -> String {
        let folders = ["/var/log/journal", "/run/log/journal"].map { surroundings.root + $0 }
        let journals = folders.flatMap { folder in entries(of: folder).map { "\(folder)/\($0)" } }
        guard !journals.isEmpty else {
            throw Complaint(
                "this host has no journal of systemd: the messages of the lock daemon are where its service manager puts its "
                    + "standard error", code: Complaint.unavailable)
        }
        guard let program = ProgramOutput.find("journalctl", in: surroundings) else {
            throw Complaint(
                "journalctl, which reads the journal, is in no folder of PATH, or another user could replace it: install it",
                code: Complaint.unavailable)
        }
        let readable = ["system.journal", "user-\(surroundings.userID).journal"]
        let isReadable = journals.contains { folder in
            readable.contains { access("\(folder)/\($0)", R_OK) == 0 }
        }
        guard isReadable else {
            throw Complaint(
                "you may not read the journal: run this as root, or ask to be added to the group systemd-journal "
                    + "(`adduser \(ProcessDescription.userName(surroundings.userID)) systemd-journal`), then log in again",
                code: Complaint.notPermitted)
        }
        return program
    }

    private static func entries(of folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}
