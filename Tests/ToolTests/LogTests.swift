import Foundation
import Glibc
import LockVocabulary
import Posix
import Systemd
import TestSupport
import Testing

@testable import prwlock_tool

/// `prwlock log`: entries in words, and the way to them.
@Suite struct LogTests {
    // MARK: - Entries

    private func entry(
        _ event: JournalEntry.Event?, _ message: String, lock: String? = "deploy",
        _ more: [String: String] = [:]
    ) -> LogEntry {
        var fields = ["MESSAGE": message, "PRIORITY": "5", "__REALTIME_TIMESTAMP": "1700000000500000"]
        fields["MESSAGE_ID"] = event.map { "\($0.messageID)" }
        fields["LOCK"] = lock
        if lock != nil {
            fields.merge([
                "CLIENT_PID": "4711", "CLIENT_UID": "0", "CLIENT_UNIT": "web.service", "TOKEN": "12",
            ]) { $1 }
        }
        return LogEntry(fields.merging(more) { $1 }.mapValues { Array($0.utf8) })
    }

    @Test("each event of a lock is said in words, with the process, its user and its unit")
    func words() {
        let client = "process 4711 (root, web.service)"
        let cases: [(LogEntry, String)] = [
            (
                entry(.diedHolding, "a session ended while it held deploy"),
                "\(client) ended while it held the lock"
            ),
            (
                entry(.diedHolding, "a session ended while it held deploy and 2 more"),
                "\(client) ended while it held the lock, and 2 more locks"
            ),
            (
                entry(.leaseExpired, "the lease on deploy ended before it was released"),
                "the lease of \(client) ended before a release"
            ),
            (
                entry(
                    .deadlockRefused, "a request for deploy was refused, for it would wait in a circle: a, b"),
                "a request of \(client) was refused, as it would wait in a circle: a, b"
            ),
            (
                entry(.limitHit, "a limit was hit: limit-grants", ["LIMIT": "limit-grants"]),
                "\(client) reached the limit limit-grants"
            ),
            (
                entry(.markForgotten, "it is forgotten"),
                "that its last writer died is forgotten, as too many locks have such a mark"
            ),
            (
                entry(.revoked, "the grant of deploy was revoked by user 0"),
                "the grant of \(client) was revoked by root"
            ),
            (
                entry(.denied, "a request of user 0 for deploy was denied: write"),
                "a request of \(client) was denied: write"
            ),
            (
                entry(.orderBroken, "locks are out of order: deploy was asked for while mail was held"),
                "\(client) requested it out of order: deploy was asked for while mail was held"
            ),
            (
                entry(.outOfTokens, "a request was refused"),
                "a request of \(client) was refused: no token was left"
            ),
            (entry(nil, "of a later release"), "of a later release: \(client)"),
            (entry(.clusterLost, "all grants have ended", lock: nil), "all grants have ended"),
        ]
        for (entry, words) in cases { #expect(entry.words == words) }
        let hidden = LogEntry(["MESSAGE_ID": Array("\(JournalEntry.Event.leaseExpired.messageID)".utf8)])
        #expect(hidden.words == "the lease of a process that the daemon cannot see ended before a release")
    }

    @Test("a line has the time, the plain name and the words; others' text is escaped")
    func lines() {
        setenv("TZ", "UTC", 1)
        tzset()
        let clock = DisplayClock(now: 1_700_000_100)
        let died = entry(.leaseExpired, "", lock: "deploy%1B%20x")
        #expect(
            died.line(.plain, clock).text
                == "22:13:20  deploy\\x1B x: the lease of process 4711 (root, web.service) ended before a release\n"
        )
        let daemon = entry(nil, "evil \u{1B}[2J", lock: nil, ["PRIORITY": "3"])
        #expect(daemon.line(.plain, clock).text == "22:13:20  daemon: error: evil \\x1B[2J\n")
        let manager = entry(nil, "Started it.", lock: nil, ["PRIORITY": "6", "SYSLOG_IDENTIFIER": "systemd"])
        #expect(manager.line(.plain, clock).text == "22:13:20  systemd: Started it.\n")
    }

    @Test("JSON has the words and the fields, with keys of words")
    func json() throws {
        let text = entry(.leaseExpired, "the lease ended").json.encoded
        let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        #expect(object?["time"] as? String == "2023-11-14T22:13:20Z")
        #expect(object?["event"] as? String == "lease-expired")
        #expect(object?["name"] as? String == "deploy")
        #expect(object?["pid"] as? Int == 4711)
        #expect(object?["token"] as? String == "12")
        for match in text.matches(of: /"([^"]*)":/) {
            #expect(match.output.1.wholeMatch(of: /[a-z]+(_[a-z]+)*/) != nil, "\(match.output.1)")
        }
    }

    @Test("a line of standard error has the same facts, but for the time")
    func fileLines() throws {
        let line = "prwlockd: notice: the lease on a (b ended (LOCK=deploy CLIENT_PID=7 CLIENT_UID=0 TOKEN=3)"
        let entry = try #require(LogEntry(line: Array(line.utf8)))
        #expect(entry.lock?.text == "deploy")
        #expect(entry.time == nil)
        #expect(entry.words == "the lease on a (b ended: process 7 (root)")
        #expect(
            LogEntry(line: Array("prwlockd: error: it failed (as usual)".utf8))?.words
                == "it failed (as usual)")
        for other in ["", "Segmentation fault", "prwlockd: loud: x", "other: error: x"] {
            #expect(LogEntry(line: Array(other.utf8)) == nil)
        }
    }

    @Test("entries of the export format are read however they are cut, also with values of any bytes")
    func export() {
        var bytes = Array("__CURSOR=1\nMESSAGE=a=b\nMESSAGE=second\n\nMESSAGE\n".utf8)
        bytes +=
            [4, 0, 0, 0, 0, 0, 0, 0] + Array("x\n\n\u{1}".utf8) + Array("\nLOCK=jobs\n\n\nLOCK=late".utf8)
        for size in 1...bytes.count {
            var export = JournalExport()
            var entries: [JournalExport.Fields] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                entries += export.read(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(
                entries == [
                    ["__CURSOR": Array("1".utf8), "MESSAGE": Array("a=b".utf8)],
                    ["MESSAGE": Array("x\n\n\u{1}".utf8), "LOCK": Array("jobs".utf8)],
                ], "\(size)")
        }
    }

    // MARK: - The way to the entries

    /// A host with the service and a journal, of which `journalctl` is a script.
    private func host(_ script: String, isReadable: Bool = true) throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        for name in ["run/prwlock", "bin"] + (isReadable ? ["var/log/journal/1"] : []) {
            try FileManager.default.createDirectory(atPath: folder(name), withIntermediateDirectories: true)
        }
        if isReadable { try Data().write(to: URL(filePath: folder("var/log/journal/1/system.journal"))) }
        let program = folder("bin/journalctl")
        // Written by another process: the kernel runs no file that is open for writing, as it may be in a child of another test.
        let text = folder("script")
        try "#!/bin/sh\n\(script)\n".write(toFile: text, atomically: false, encoding: .utf8)
        chmod(text, 0o755)
        #expect(try ToolProcess("/bin/cp", ["cp", text, program], socket: "").status() == 0)
        return folder
    }

    private func log(_ arguments: String..., in folder: borrowing TemporaryDirectory) throws -> ToolProcess {
        let words = arguments.map { "'\($0)'" }.joined(separator: " ")
        return try ToolProcess(
            "/bin/sh", ["sh", "-c", "PATH=\(folder("bin")):$PATH exec prwlock log \(words)"], socket: "",
            environment: ["PRWLOCK_TEST_ROOT=\(folder.path)", "TZ=UTC"])
    }

    @Test("the journal is searched for the daemon's unit and the exact name, which no shell sees")
    func search() throws {
        let folder = try host(
            #"printf '%s\n' "$@" >$PRWLOCK_TEST_ROOT/asked; exec cat $PRWLOCK_TEST_ROOT/entries"#)
        let entries = """
            __REALTIME_TIMESTAMP=1700000000500000
            MESSAGE=the lease ended
            MESSAGE_ID=\(JournalEntry.Event.leaseExpired.messageID)
            LOCK=--since%20%24%28x%29
            CLIENT_PID=4711
            CLIENT_UID=0


            """
        try entries.write(toFile: folder("entries"), atomically: false, encoding: .utf8)
        let tool = try log("--since=-1h", "-n", "5", "--", "--since $(x)", in: folder)
        #expect(
            try tool.rest()
                == "2023-11-14 22:13:20  --since $(x): the lease of process 4711 (root) ended before a release\n"
        )
        #expect(try tool.status() == 0)
        func asked() throws -> [String] {
            try String(contentsOfFile: folder("asked"), encoding: .utf8).split(separator: "\n").map(
                String.init)
        }
        #expect(
            try asked().filter { !$0.hasPrefix("--output-fields=") } == [
                "--quiet", "--no-pager", "--output=export", "--since=-1h", "--lines=5",
                "_SYSTEMD_UNIT=prwlockd.service", "LOCK=--since%20%24%28x%29",
            ])
        #expect(try log(in: folder).status() == 0)
        #expect(
            try asked().suffix(5) == [
                "--lines=100", "_SYSTEMD_UNIT=prwlockd.service", "+", "_PID=1", "UNIT=prwlockd.service",
            ])
        #expect(
            try log("-f", "--json", "x", in: folder).rest().hasPrefix(#"{"time":"2023-11-14T22:13:20Z","#))
        #expect(try asked().contains("--follow"))
    }

    @Test("an empty journal, a wrong time, and a host without a journal have their own messages")
    func faults() throws {
        let silent = try host("exit 0")
        let empty = try log("jobs", in: silent)
        #expect(try empty.rest() == "the log has no entry about jobs\n")
        #expect(try empty.status() == 0)
        let strict = try host("echo 'Failed to parse timestamp: x' >&2; exit 1")
        let wrong = try log("--since", "x\u{1B}", in: strict)
        #expect(try wrong.complaints() == "prwlock: journalctl: Failed to parse timestamp: x\n")
        #expect(try wrong.status() == 64)
        let bare = try host("exit 0", isReadable: false)
        let none = try log(in: bare)
        #expect(try none.complaints().hasPrefix("prwlock: this host has no journal of systemd: "))
        #expect(try none.status() == 69)
    }

    @Test("a journalctl that another user could replace is not run")
    func replaceable() throws {
        let folder = try host("echo >$PRWLOCK_TEST_ROOT/was-run")
        chmod(folder("bin"), 0o777)
        let tool = try log(in: folder)
        _ = try tool.rest()
        _ = try tool.status()
        #expect(!FileManager.default.fileExists(atPath: folder("was-run")))
    }

    @Test("the entries of a daemon without the journal come from the file that its standard error is")
    func file() throws {
        let daemon = try DaemonProcess()
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE a%20b lease=1ms") == "GRANTED a%20b write token=1")
        #expect(try holder.nextLine() == "! EXPIRED a%20b token=1")
        let tool = try ToolProcess(["log", "a b"], at: daemon)
        let user = ProcessDescription.userName(geteuid())
        let line = try tool.rest()
        #expect(
            line.hasPrefix(
                "a b: the lease on a%20b ended before it was released: process \(getpid()) (\(user)"),
            "\(line)")
        #expect(try tool.complaints().contains("has no times"))
        #expect(try tool.status() == 0)
        #expect(try ToolProcess(["log", "other"], at: daemon).rest() == "the log has no entry about other\n")
        #expect(
            try ToolProcess(["log"], at: daemon).rest().contains("daemon: serving \(daemon.socketPath)\n"))
        let timed = try ToolProcess(["log", "--since", "today"], at: daemon)
        #expect(try timed.complaints().contains("which has no times: leave out --since and --until"))
        #expect(try timed.status() == 64)
    }
}
