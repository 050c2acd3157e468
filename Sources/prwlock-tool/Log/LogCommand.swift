import ArgumentParser
import Glibc
import LockVocabulary
import Posix
import Rendezvous

/// `prwlock log`: what the daemon's log says of a lock, in words.
struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Show what the daemon's log says of a lock, the newest last.",
        discussion: """
            Without a name it shows all entries of the daemon, and those of systemd about its unit. Grants and releases are not \
            logged; `prwlock watch` shows them as they happen. The log names only one of several locks that a process held when it \
            died.

            It reads the journal by journalctl(1), or the file beside the user's own socket.
            """)

    @Option(
        help: ArgumentHelp("Only entries from this time on: '10:30', 'yesterday', '-1h'.", valueName: "time"))
    var since: ByteString?

    @Option(help: ArgumentHelp("Only entries up to this time.", valueName: "time"))
    var until: ByteString?

    @Option(
        name: [.customShort("n", allowingJoined: true), .customLong("lines")],
        help: ArgumentHelp("At most so many entries; 100 without --since.", valueName: "number"))
    var lines: UInt32?

    @Flag(
        name: [.customShort("f"), .customLong("follow")],
        help: "Go on with new entries, until it is interrupted.")
    var follow = false

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var lockName: OptionalNameOptions

    /// The number of entries if nothing else bounds them.
    private static let usualLines = 100

    func run() throws {
        let surroundings = Surroundings.current()
        let name = lockName.name
        var isEmpty = true
        try complaining { () throws(Complaint) in
            switch try LogSource(of: daemon.choice, about: name, in: surroundings) {
            case .journal(let terms):
                try search(terms).run(in: surroundings) { entry in
                    print(entry)
                    isEmpty = false
                }
            case .file(let path):
                try refuseTimes(of: path)
                let entries = try LogFile(path).entries(about: name).suffix(
                    lines.map { Int($0) } ?? Self.usualLines)
                for entry in entries { print(entry) }
                isEmpty = entries.isEmpty
                if !show.json { StandardError.report("\(path) has no times; the newest entry is the last") }
            }
        }
        if isEmpty, !show.json {
            StandardOutput.write("the log has no entry\(name.map { " about \($0.shown)" } ?? "")\n")
        }
    }

    private func search(_ terms: [String]) -> JournalSearch {
        let most = lines.map { Int($0) } ?? (since == nil && until == nil ? Self.usualLines : nil)
        return JournalSearch(
            terms: terms, since: since?.shown, until: until?.shown, lines: most, follows: follow)
    }

    private func refuseTimes(of path: String) throws(Complaint) {
        if since != nil || until != nil {
            throw Complaint(
                "the messages of this lock daemon are in \(path), which has no times: leave out --since and --until",
                code: Complaint.usage)
        }
        if follow {
            throw Complaint(
                "the messages of this lock daemon are in \(path): `tail -f \(path)` follows them",
                code: Complaint.usage)
        }
    }

    private func print(_ entry: LogEntry) {
        StandardOutput.write(
            show.json ? "\(entry.json.encoded)\n" : entry.line(show.style, DisplayClock()))
    }
}

/// The file with the output of a daemon that a client started.
struct LogFile {
    private let contents: [UInt8]

    /// A daemon that a client starts empties a file of a mebibyte; others may write more.
    private static let most = 64 << 20

    init(_ path: String) throws(Complaint) {
        do throws(SystemError) {
            let folder = try DirectoryDescriptor(PlaceFacts.folder(of: path) ?? ".")
            let name = path.split(separator: "/").last.map(String.init) ?? path
            let file = try folder.open(name, flags: O_RDONLY | O_NONBLOCK)
            guard try FileStatus(of: file, path).isRegularFile else {
                throw SystemError(code: EINVAL, call: "read", subject: path)
            }
            contents = try FileContents.read(file, path, limit: Self.most)
        } catch {
            throw Complaint(error)
        }
    }

    func entries(about name: LockName?) -> [LogEntry] {
        contents.split(separator: UInt8(ascii: "\n")).compactMap { LogEntry(line: Array($0)) }
            .filter { name == nil || $0.lock == name }
    }
}
