import Foundation
import LockVocabulary
import Posix
import Rendezvous
import Testing

@testable import prwlock_tool

/// What `prwlock doctor` concludes from facts, without any daemon.
@Suite struct DoctorFindingTests {
    /// A service of which nothing is to be said.
    private var healthy: DoctorFacts {
        var place = PlaceFacts(rule: .service, path: "/run/prwlock/prwlock.sock", hasServiceDirectory: true)
        place.group = GroupFacts(name: "prwlock", isActive: true, isListed: true)
        var daemon = DaemonFacts(server: "prwlockd/\(Release.version)", socket: place.path)
        daemon.roundTrip = .microseconds(90)
        daemon.user = 0
        daemon.unit = DaemonUnit(process: 7, owner: .systemUnit("prwlockd.service"))
        daemon.descriptors = 524_288
        daemon.isReplaced = false
        daemon.hasOtherClock = false
        daemon.counters = [
            "sessions": 3, "max-sessions": 65_536, "grants": 1, "waiters": 0, "process-watches": 1,
            "token-files": 1,
            "tokens-left": 1000, "restarts": 0, "ledger-format": 1, "pid-namespace": 5,
            "total-lost-entries": 0,
            "total-fatal-lines": 0, "total-refused-reloads": 0, "marks": 0,
        ]
        var facts = DoctorFacts(place: place, daemon: .answers(daemon))
        facts.client.user = 1000
        facts.client.userName = "ann"
        facts.client.namespace = 5
        facts.client.descriptors = 1024
        facts.program = ProgramFacts(path: "/usr/bin/prwlockd", version: Release.version, isChecked: true)
        facts.units = UnitFacts(
            service: UnitState(load: "loaded", active: "active", result: "success", watchdog: "10s"),
            socket: UnitState(load: "loaded", active: "active", file: "enabled"))
        return facts
    }

    /// The healthy service with changed facts of the daemon.
    private func daemon(_ change: (inout DaemonFacts) -> Void) -> DoctorFacts {
        var facts = healthy
        guard case .answers(var daemon) = facts.daemon else { return facts }
        change(&daemon)
        facts.daemon = .answers(daemon)
        return facts
    }

    private func changed(_ change: (inout DoctorFacts) -> Void) -> DoctorFacts {
        var facts = healthy
        change(&facts)
        return facts
    }

    /// All findings that are not `ok`, as words, and what to do about them.
    private func remarks(_ facts: DoctorFacts) -> [String] {
        facts.findings.filter { $0.severity > .ok }.map { finding in
            (["\(finding.severity) \(finding.topic)"] + finding.remedies).joined(separator: " → ")
        }
    }

    @Test("a service in order needs nothing")
    func inOrder() {
        #expect(remarks(healthy) == [])
        #expect(!DoctorReport(findings: healthy.findings).asksForAction)
        #expect(DoctorReport(findings: healthy.findings).text(.plain).text.hasSuffix("\n\nnothing to do\n"))
        // A daemon of a former release says less of itself.
        #expect(remarks(daemon { $0.counters = [:] }) == ["note keep"])
    }

    @Test("each fault of the daemon has its finding, with a command where one helps")
    func faults() {
        let missing = RendezvousError.notRunning(.init(naming: "/run/prwlock/prwlock.sock"))
        let cases: [(DoctorFacts, [String])] = [
            (changed { $0.daemon = .asleep }, []),
            (
                changed { $0.daemon = .unreachable(missing) },
                ["fault daemon → systemctl enable --now prwlockd.socket"]
            ),
            (
                changed {
                    $0.daemon = .unreachable(missing)
                    $0.units = nil
                }, ["fault daemon → install the service, or remove what it has left: rmdir /run/prwlock"]
            ),
            (
                changed { $0.daemon = .failed("it answered nonsense") },
                ["fault daemon → prwlock log -n 20 → prwlock ping"]
            ),
            (
                changed {
                    $0.daemon = .unreachable(
                        .untrustedServer(.init(path: "/x/s"), user: 5, reason: "it is foreign"))
                }, ["fault daemon → export PRWLOCK_SERVER_UID=5   # only if you trust this user"]
            ),
            (
                daemon { $0.protocolVersion = 2 }, ["fault versions → install both from one release"]
            ),
            (
                daemon { $0.server = "prwlockd/0.9.0" },
                [
                    "note versions", "warning upgrade → prwlock upgrade   # as root or as the daemon's user",
                ]
            ),
            (
                daemon { $0.isReplaced = true },
                ["warning upgrade → prwlock upgrade   # as root or as the daemon's user"]
            ),
            (
                daemon {
                    $0.isReplaced = true
                    $0.counters["restarts"] = nil
                }, ["note keep", "note upgrade"]
            ),
            (
                daemon { $0.counters["process-watches"] = 0 },
                [
                    "warning death → allow pidfd_open(2) in the seccomp filter or the sandbox of the daemon"
                ]
            ),
            (
                daemon { $0.counters["tokens-left"] = 0 },
                ["fault tokens → make room on that disk, or make it writable: prwlock log -n 20 names it"]
            ),
            (daemon { $0.counters["pid-namespace"] = 6 }, ["note pid-namespace"]),
            (daemon { $0.hasOtherClock = true }, ["note clock"]),
            (
                daemon {
                    $0.isOwn = true
                    $0.counters["token-files"] = 2
                    $0.unit = DaemonUnit(process: 7, owner: .systemUnit("cron.service"))
                },
                [
                    "warning home → install the service, or let the user linger: loginctl enable-linger "
                        + "→ let a new daemon start, when no lock is held: kill 7   # cron.service has started this one"
                ]
            ),
            (daemon { $0.unit = DaemonUnit(process: 7, owner: .systemUnit("locks.service")) }, []),
            (daemon { $0.unit = DaemonUnit(process: 7, owner: .session("3")) }, ["note home"]),
        ]
        for (facts, expected) in cases { #expect(remarks(facts) == expected) }
    }

    @Test("the user's own daemon beside the service, its one file of tokens, and what it left are found")
    func own() {
        var place = PlaceFacts(rule: .own, path: "/tmp/prwlock-1000/prwlock.sock", hasServiceDirectory: true)
        #expect(
            remarks(
                changed {
                    $0.place = place
                    $0.units = nil
                }) == [
                    "warning space → prwlock sessions   # end these processes, and all further ones use the service"
                ])
        place.hasServiceDirectory = false
        place.leftovers = [place.path]
        place.foreignFolders = ["/tmp/prwlock-1000"]
        var facts = daemon {
            $0.isOwn = true
            $0.counters["restarts"] = nil
        }
        facts.place = place
        facts.units = nil
        facts.neighbours = [0, 1000]
        #expect(
            remarks(facts) == [
                "note leftover", "warning folder → as root: rm -r /tmp/prwlock-1000",
                "note neighbours", "note keep",
                "warning tokens → make the home writable: ~/.local/state/prwlock, or as prwlock log -n 20 names it",
            ])
    }

    @Test("a user outside the group, and one whose login is older than the membership, learn what to do")
    func access() {
        func group(_ isActive: Bool, _ isListed: Bool) -> DoctorFacts {
            changed { $0.place.group = GroupFacts(name: "prwlock", isActive: isActive, isListed: isListed) }
        }
        #expect(
            remarks(group(false, true)) == [
                "fault access → log in again; until then: sg prwlock -c 'COMMAND'"
            ])
        #expect(
            remarks(group(false, false)) == [
                "fault access → as root: adduser ann prwlock   # then log in again "
                    + "→ for a service: SupplementaryGroups=prwlock in its unit"
            ])
        #expect(remarks(group(true, false)) == ["note access"])
        #expect(
            remarks(
                changed {
                    $0.client.user = 0
                    $0.place.group = GroupFacts(name: "prwlock", isActive: false, isListed: false)
                }) == [])
        #expect(
            remarks(changed { $0.place.replaceablePart = "/srv is open to all users (chmod o-w)" }) == [
                "warning trust → move the socket to a folder that only its owner may write to"
            ])
    }

    @Test("what the kernel lacks is named with the promise that depends on it")
    func kernel() {
        let facts = changed {
            $0.kernel = KernelFacts(
                release: "4.9", opensProcesses: false, asksSockets: false, showsGroups: false,
                sealsMemory: false)
            $0.daemon = .asleep
        }
        #expect(
            remarks(facts) == [
                "warning pidfd → Linux 5.3 or later, or allow pidfd_open(2) in the seccomp filter",
                "note peer-pidfd",
                "note peer-groups", "note memory",
            ])
        let meanings = facts.findings.map(\.meaning).joined(separator: "\n")
        for promise in ["(G6)", "unit= or exe=", "group=", "(G14)"] { #expect(meanings.contains(promise)) }
        #expect(facts.findings.contains { $0.text == "Linux 4.9 permits none of what locks can use" })
    }

    @Test("the units are judged: failed, disabled, changed, missing, without a watchdog")
    func units() {
        func units(_ change: (inout UnitFacts) -> Void) -> [String] {
            remarks(changed { if var units = $0.units { change(&units); $0.units = units } })
        }
        #expect(
            units { $0.service.active = "failed" } == [
                "fault unit → prwlock log -n 20 → systemctl start prwlockd.socket"
            ])
        #expect(units { $0.socket.file = "disabled" } == ["warning boot → systemctl enable prwlockd.socket"])
        #expect(
            units { $0.socket.active = "inactive" } == [
                "fault socket → systemctl enable --now prwlockd.socket"
            ])
        #expect(units { $0.service.needsReload = true } == ["warning unit-file → systemctl daemon-reload"])
        #expect(units { $0.service.watchdog = nil } == ["note watchdog"])
        #expect(
            units {
                $0.service.load = "not-found"
                $0.socket.load = "not-found"
            } == ["warning unit → install the service, or remove what it has left: rmdir /run/prwlock"])
    }

    @Test("counters tell of limits, crashes, refused reloads, lost entries and the fleet")
    func counters() {
        func counters(_ counters: [String: Int]) -> [String] {
            remarks(daemon { $0.counters.merge(counters) { $1 } })
        }
        #expect(
            counters(["sessions": 60_000]) == [
                "warning near-limit → prwlock sessions   # who has them → prwlockd(8): --max-sessions, or a rule `limit`"
            ])
        #expect(
            counters(["total-fatal-lines": 1]) == [
                "warning fatal-lines → prwlock log   # names the client; please report it with what that client sends"
            ])
        #expect(counters(["total-lost-entries": 9]) == ["note lost-entries"])
        #expect(counters(["total-refused-reloads": 1]) == ["note configuration"])
        #expect(
            remarks(changed { $0.program?.configurationFault = "rules:1:1: no" }) == [
                "warning configuration → correct it → prwlockd --check-config && systemctl reload prwlockd"
            ])
        #expect(counters(["marks": 2]) == ["note marks"])
        #expect(counters(["cluster-claims": 4, "cluster-reachable": 1, "cluster-lease-left": 8000]) == [])
        #expect(
            counters(["cluster-claims": 4, "cluster-reachable": 0, "total-lost-leases": 1]) == [
                "fault fleet → etcdctl endpoint status --cluster → etcdctl alarm list → prwlock log -n 20",
                "note lost-leases",
            ])
        #expect(
            remarks(daemon { $0.descriptors = 3 }) == [
                "warning near-limit → raise LimitNOFILE= of prwlockd.service, or ulimit -n where the daemon is started"
            ])
    }

    @Test(
        "the text fits 80 columns, with colour on a terminal; hostile text is escaped there, and JSON has all"
    )
    func output() throws {
        var facts = healthy
        facts.client.variables = [("PRWLOCK_SOCKET", "/evil\u{1B}[2J")]
        facts.place.group = GroupFacts(name: "prwlock", isActive: false, isListed: false)
        let report = DoctorReport(findings: facts.findings)
        let plain = report.text(Style(columns: 80)).text
        for line in plain.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
        #expect(plain.contains("/evil\\x1B[2J") && !plain.contains("\u{1B}"))
        #expect(plain.contains("→ as root: adduser ann prwlock"))
        #expect(
            report.text(Style(hasColour: true, columns: 80)).text.contains("\u{1B}[1;31mfault\u{1B}[0m  "))

        let object = try JSONSerialization.jsonObject(with: Data(report.json.encoded.utf8)) as? [String: Any]
        #expect(object?["status"] as? String == "fault")
        let findings = try #require(object?["findings"] as? [[String: Any]])
        let access = try #require(findings.first { $0["topic"] as? String == "access" })
        #expect((access["do"] as? [String])?.count == 2)
        #expect((access["facts"] as? [String: Any])?["is_listed"] as? Bool == false)
    }

    @Test("the table of sockets and the output of systemctl are read")
    func tables() {
        let table = """
            Num       RefCount Protocol Flags    Type St Inode Path
            0000000000000000: 00000002 00000000 00010000 0001 01 211 /tmp/a socket
            0000000000000000: 00000003 00000000 00000000 0001 03 212 /tmp/connected
            0000000000000000: 00000002 00000000 00010000 0001 01 213 @prwlock-1000
            0000000000000000: 00000002 00000000 00010000 0001 01 214 @prwlock-0/tmp/root
            0000000000000000: 00000002 00000000 00010000 0001 01 215

            """
        let sockets = ListeningSockets(Array(table.utf8))
        #expect(sockets.names == ["/tmp/a socket", "@prwlock-1000", "@prwlock-0/tmp/root"])
        #expect(sockets.usersWithDaemons == [1000])

        let units = UnitState.read(
            Array(
                """
                Id=a.service
                LoadState=loaded
                ActiveState=active
                WatchdogUSec=10s
                NeedDaemonReload=yes

                Id=b.socket
                LoadState=not-found
                WatchdogUSec=0

                """.utf8))
        #expect(
            units == [
                "a.service": UnitState(load: "loaded", active: "active", needsReload: true, watchdog: "10s"),
                "b.socket": UnitState(load: "not-found"),
            ])
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     4096    files\n"
        #expect(DaemonFacts.openFiles(inLimits: Array(limits.utf8)) == 1024)
    }
}
