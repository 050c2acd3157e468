import Foundation
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix
import TestSupport
import Testing

@testable import prwlock_tool

/// The commands that show the daemon's state.
@Suite struct LookTests {
    private func status() throws -> LockReport {
        let name = try #require(LockName("deploy"))
        let note = try #require(Note(encoding: "of two words"))
        let client = HoldOwner(process: 700).owner
        let holders = [
            Row.Holder(
                processID: 811, mode: .update, owner: .session, token: Token(rawValue: 42),
                age: .seconds(200),
                leaseLeft: .milliseconds(2500), note: note),
            Row.Holder(
                processID: 820, mode: .read, owner: client, token: Token(rawValue: 43), age: .seconds(90_000),
                leaseLeft: nil, note: .none),
        ]
        let waiters = [
            Row.Waiter(
                processID: 902, mode: .write, owner: .session, waited: .seconds(2),
                timeout: .upTo(.seconds(5)),
                note: .none),
            Row.Waiter(
                processID: nil, mode: .read, owner: .session, waited: .milliseconds(250), timeout: .forever,
                note: .none),
        ]
        let facts = { (process: Int32?) in
            switch process {
            case 700: ProcessDescription(user: "ann", command: "sh ./deploy.sh", unit: "cron.service")
            case 811: ProcessDescription(user: "bob", command: "evil \u{1B}[2J\u{202E}name", unit: nil)
            default: ProcessDescription()
            }
        }
        return LockReport(name, holders, waiters, facts: facts, clientFacts: { facts($0) })
    }

    @Test(
        "status shows the holders of a lock, since when, and the processes that each waiter waits for (G2, G3)"
    )
    func statusTable() throws {
        setenv("TZ", "UTC", 1)
        tzset()
        let text = try status().text(.plain, DisplayClock(now: 1_700_000_000)).text
        #expect(
            text == """
                deploy: held (update), 2 holders, 2 waiting

                HOLDER  MODE    SINCE                FOR           LEASE LEFT  TOKEN  USER  UNIT          NOTE          COMMAND
                   811  update  22:10:00             3 minutes     2 seconds      42  bob   -             of two words  evil \\x1B[2J\\u{202E}name
                   820  read    2023-11-13 21:13:20  1 day 1 hour  -              43  ann   cron.service  -             for 700: sh ./deploy.sh

                WAITING  MODE   FOR        GIVES UP IN  WAITS FOR  USER  UNIT  NOTE  COMMAND
                    902  write  2 seconds  3 seconds    811, 820   -     -     -     -
                      ?  read   250 ms     -            902        -     -     -     -

                """)
    }

    @Test("status --json prints the same facts as JSON")
    func statusJSON() throws {
        let data = Data(try status().json.encoded.utf8)
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(object["name"] as? String == "deploy")
        let holders = try #require(object["holders"] as? [[String: Any]])
        #expect(holders.first?["command"] as? String == "evil \u{1B}[2J\u{202E}name")
        #expect(holders.first?["lease_left_ms"] as? Int == 2500)
        #expect(holders.first?["token"] as? String == "42")
        #expect(object["claims"] == nil)
        #expect((holders.last?["for"] as? [String: Any])?["pid"] as? Int == 700)
        let waiters = try #require(object["waiters"] as? [[String: Any]])
        #expect(waiters.first?["waits_for"] as? [Int] == [811, 820])
        #expect(waiters.last?["pid"] is NSNull)
        #expect(waiters.last?["waits_for"] as? [Int] == [902])
    }

    @Test("the hosts that claim a shared lock, and those that wait, are shown too")
    func claims() throws {
        let name = try #require(LockName("jobs"))
        let (one, two) = (try #require(HostName("web1")), try #require(HostName("web2")))
        let report = LockReport(
            name, [], [], claims: [.init(host: one, mode: .write)],
            claimWaiters: [.init(host: two, mode: .read)], facts: { _ in ProcessDescription() })
        #expect(
            report.text(.plain, DisplayClock(now: 0)).text == """
                jobs: not held on this host

                HOST  CLAIMS  WAITS FOR A CLAIM
                web1  write   -
                web2  -       read

                """)
        #expect(
            report.json.encoded.hasSuffix(
                #""claims":[{"host":"web1","mode":"write"}],"claim_waiters":[{"host":"web2","mode":"read"}]}"#
            ))
        let row = Row.Lock(
            name: name, mode: nil, holders: 0, waiters: 0, ownerDied: .maybe,
            claim: .init(mode: .write, host: one))
        #expect(row.cells(withClaim: true) == ["", "0", "0", "may have died", "web1 (write)", "jobs"])
        #expect(
            row.json.encoded.hasSuffix(
                #""owner_died":true,"owner_died_is_unsure":true,"claim":"write","claim_host":"web1"}"#))
    }

    @Test("lists, counters and changes are shown as tables and as JSON")
    func lists() throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        #expect(try session.ask("WRITE a/1") == "GRANTED a/1 write token=1")
        #expect(try session.ask("READ b") == "GRANTED b read token=2")
        #expect(
            try ToolProcess(["list"], at: daemon).rest() == """
                MODE   HOLDERS  WAITING  LAST WRITER  NAME
                write        1        0  -            a/1
                read         1        0  -            b

                """)
        #expect(
            try ToolProcess(["list", "a", "--json"], at: daemon).rest()
                == #"[{"name":"a/1","encoded":"a/1","mode":"write","holders":1,"waiters":0,"owner_died":false}]"#
                + "\n")
        #expect(try ToolProcess(["list", "none"], at: daemon).rest() == "no locks\n")
        #expect(try ToolProcess(["list", "none", "--json"], at: daemon).rest() == "[]\n")

        for command in ["sessions", "stats", "ping"] {
            let data = Data(try ToolProcess([command, "--json"], at: daemon).rest().utf8)
            #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: data) }
            #expect(try !ToolProcess([command], at: daemon).rest().isEmpty)
        }
        #expect(
            try ToolProcess(["status", "a/1"], at: daemon).rest().hasPrefix(
                "a/1: held (write), 1 holder, no request waits\n"))
        #expect(try ToolProcess(["status", "a/1"], at: daemon).rest().contains(String(getpid())))
        #expect(try ToolProcess(["status", "free"], at: daemon).rest() == "free: free\n")

        let watch = try ToolProcess(["watch", "b", "--json"], at: daemon)
        // The daemon starts the watch at an unknown moment, so repeat a request for a lock with this prefix until the
        // watcher shows it.
        while try session.ask("STATS") != nil, try session.lines(through: "END").isEmpty {}
        var line: String?
        while line == nil {
            #expect(try session.ask("READ b2 owner=o note=why")?.hasPrefix("GRANTED") == true)
            var request = pollfd(fd: watch.outputDescriptor, events: Int16(POLLIN), revents: 0)
            if poll(&request, 1, 20) == 1 { line = try watch.nextLine() }
        }
        let change = try JSONSerialization.jsonObject(with: Data((line ?? "").utf8)) as? [String: Any]
        #expect(change?["name"] as? String == "b2")
        #expect(change?["change"] as? String == "granted")
        #expect(change?["owner"] as? String == "o")
        #expect(change?["note"] as? String == "why")
    }

    @Test("status without a name shows every lock that is held or waited for, and no other")
    func statusOfAll() throws {
        let daemon = try DaemonProcess()
        #expect(try ToolProcess(["status"], at: daemon).rest() == "no lock is held or waited for\n")
        #expect(try ToolProcess(["status", "--json"], at: daemon).rest() == "[]\n")
        let session = try daemon.connect()
        #expect(try session.ask("WRITE a%20b")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("READ c")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("WRITE gone")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("RELEASE gone")?.hasPrefix("RELEASED") == true)
        let text = try ToolProcess(["status"], at: daemon).rest()
        #expect(text.contains(": held (write), 1 holder"))
        #expect(text.contains("\n\nc: held (read), 1 holder"))
        #expect(!text.contains("gone"))
        let data = Data(try ToolProcess(["status", "--json"], at: daemon).rest().utf8)
        let locks = try JSONSerialization.jsonObject(with: data) as? [[String: Any]]
        #expect(locks?.count == 2)
    }

    @Test("status says how many owners have a lock cached, whether or not another one holds it")
    func statusOfCached() throws {
        let daemon = try DaemonProcess()
        let lock = BlockingClient(socketPath: daemon.socketPath).lock("jobs")
        for _ in 0..<3 { try lock.withReadLock {} }
        func text() throws -> String { try ToolProcess(["status", "jobs"], at: daemon).rest() }
        func cached() throws -> Int? {
            let data = Data(try ToolProcess(["status", "jobs", "--json"], at: daemon).rest().utf8)
            return (try JSONSerialization.jsonObject(with: data) as? [String: Any])?["cached"] as? Int
        }
        #expect(try text() == "jobs: free, cached by 1 owner\n")
        #expect(try cached() == 1)

        let other = BlockingClient(socketPath: daemon.socketPath).lock("jobs")
        for _ in 0..<3 { try other.withReadLock {} }
        #expect(try text() == "jobs: free, cached by 2 owners\n")
        #expect(try cached() == 2)

        let session = try daemon.connect()
        #expect(try session.ask("READ jobs")?.hasPrefix("GRANTED") == true)
        #expect(try text().hasPrefix("jobs: held (read), 1 holder, no request waits, cached by 2 owners\n"))
        #expect(try cached() == 2)
        #expect(try session.ask("RELEASE jobs")?.hasPrefix("RELEASED") == true)

        // This ends the caching.
        #expect(try session.ask("WRITE jobs")?.hasPrefix("GRANTED") == true)
        #expect(try text().hasPrefix("jobs: held (write), 1 holder, no request waits\n"))
        #expect(try cached() == 0)
    }

    @Test(
        "a table of 80 columns keeps its last column: it drops empty and optional columns, and cuts long cells"
    )
    func narrowTable() throws {
        let status = try status()
        let narrow = Style(columns: 80)
        let lines = status.text(narrow, DisplayClock(now: 1_700_000_000)).text.split(separator: "\n")
        for line in lines { #expect(line.count <= 80, "\(line)") }
        let heading = try #require(lines.first { $0.hasPrefix("HOLDER") })
        #expect(heading.hasSuffix("COMMAND"))
        #expect(lines.contains { $0.hasPrefix("   820") && $0.hasSuffix("ploy.sh") })
        #expect(Table.cut("prwlock run nightly ./backup.sh", to: 12) == "prwloc…up.sh")
        #expect(Table.cut("short", to: 12) == "short")
    }

    @Test("keys of JSON have underscores, also those of the daemon's counters")
    func keys() throws {
        let daemon = try DaemonProcess()
        let holder = try daemon.connect()
        #expect(try holder.ask("WRITE jobs lease=1h note=n")?.hasPrefix("GRANTED") == true)
        for command in [
            ["stats"], ["ping"], ["sessions"], ["list"], ["status"], ["status", "jobs"], ["top", "--once"],
        ] {
            let text = try ToolProcess(command + ["--json"], at: daemon).rest()
            for match in text.matches(of: /"([^"]*)":/) {
                #expect(match.output.1.wholeMatch(of: /[a-z]+(_[a-z0-9]+)*/) != nil, "\(match.output.1)")
            }
        }
    }

    @Test("the command ends with status 76 if the server is not a lock daemon")
    func stranger() throws {
        let folder = try TemporaryDirectory()
        let listener = try UnixSocket.listen(at: folder("s"), mode: 0o600, group: nil, backlog: 5)
        let tool = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "list"], socket: folder("s"))
        var request = pollfd(fd: listener.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&request, 1, 30_000) == 1)
        guard let connection = try UnixSocket.accept(from: listener) else {
            Issue.record("no connection")
            return
        }
        let accepted = connection.release()
        let answer = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        #expect(send(accepted, answer, answer.count, Int32(MSG_NOSIGNAL)) == answer.count)
        close(accepted)
        #expect(try tool.complaints().contains("is not a lock daemon"))
        #expect(try tool.status() == 76)
    }

    @Test("each command that shows locks reports if they are those of one user only")
    func space() throws {
        let folder = try TemporaryDirectory()
        let user = geteuid()
        let place = (user == 0 ? "run" : "tmp") + "/prwlock-\(user)"
        try FileManager.default.createDirectory(
            atPath: folder(place), withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let root = "PRWLOCK_TEST_ROOT=\(folder.path)"
        let daemon = try DaemonProcess(
            arguments: ["--socket", folder(place + "/prwlock.sock")],
            environment: ["PRWLOCK_TEST_ROOT": folder.path], waits: false)
        try daemon.waitForLog("serving")
        for command in [["ping"], ["list"], ["sessions"], ["status"], ["status", "jobs"]] {
            let tool = try ToolProcess(
                ToolProcess.programs + "/prwlock", ["prwlock"] + command, socket: "", environment: [root])
            #expect(try tool.complaints().contains("these are the locks of user"), "\(command)")
            #expect(try tool.status() == 0)
        }
        let tool = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "ping", "--json"], socket: "", environment: [root])
        #expect(try tool.rest().contains(#""space":"user""#))
        let named = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "ping", "--json"],
            socket: folder(place + "/prwlock.sock"))
        #expect(try named.complaints().isEmpty)
    }

    @Test("the advice names a daemon that can be started, however the socket was chosen")
    func advice() throws {
        let daemon = try DaemonProcess()
        let folder = try TemporaryDirectory()
        let tool = try ToolProcess(shell: "cd \(folder.path) && prwlock list --socket here", at: daemon)
        #expect(try tool.complaints().contains("run `prwlockd --socket \(folder("here"))`"))
        #expect(try tool.status() == 69)
    }

    @Test("a token is reported as valid or stale, and a grant can be revoked by its token (G7)")
    func fencing() throws {
        let daemon = try DaemonProcess()
        let session = try daemon.connect()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let valid = try ToolProcess(["validate", "jobs", "1"], at: daemon)
        #expect(try valid.rest() == "valid\n")
        #expect(try valid.status() == 0)
        #expect(try ToolProcess(["revoke", "jobs", "1"], at: daemon).status() == 0)
        #expect(try session.nextLine() == "! REVOKED jobs token=1")
        let stale = try ToolProcess(["validate", "jobs", "1"], at: daemon)
        #expect(try stale.rest() == "stale\n")
        #expect(try stale.status() == 1)
        #expect(try ToolProcess(["revoke", "jobs", "1"], at: daemon).status() == 1)
    }

    @Test("the end of a grant whose process is gone is shown with its user")
    func userOfTheEnd() throws {
        let daemon = try DaemonProcess()
        let watch = try ToolProcess(["watch"], at: daemon)
        #expect(try watch.nextLine()?.hasPrefix("TIME") == true)
        let command = try ToolProcess(
            ["run", "--note", "brief", "jobs", "sh", "-c", "read end"], at: daemon)
        let granted = try #require(try watch.nextLine())
        #expect(granted.contains("granted") && granted.hasSuffix("jobs  (brief)"))
        command.enter()
        #expect(try command.status() == 0)
        let released = try #require(try watch.nextLine())
        #expect(released.contains("released") && released.hasSuffix("jobs  (brief)"))
    }

    @Test("the README's first example shows what it promises")
    func demonstration() throws {
        let daemon = try DaemonProcess()
        let script =
            #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/demo/take-turns"
        let demonstration = try ToolProcess(shell: "\(script) \(ToolProcess.programs)", at: daemon)
        let shown = try demonstration.rest()
        #expect(try demonstration.status() == 0)
        #expect(shown.contains("WAITING"))
        #expect(shown.contains("and is told that its owner died"))
    }

    @Test("the command ends silently when the reader of its output ends")
    func closedPipe() throws {
        let daemon = try DaemonProcess()
        let pipeline = try ToolProcess(shell: "{ prwlock stats; echo $? >&2; } | :", at: daemon)
        let said = try pipeline.complaints()
        #expect(said == "141\n" || said == "0\n")
    }
}
