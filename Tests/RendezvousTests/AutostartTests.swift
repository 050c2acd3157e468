import Glibc
import Posix
import TestSupport
import Testing

@testable import Rendezvous

/// Daemons that clients start and that exit by themselves, as real processes.
@Suite(.serialized, .timeLimit(.minutes(2))) struct AutostartTests {
    private let home = try? UserHome()

    @Test("a hundred processes at once with no daemon: one daemon, all served")
    func hundredAtOnce() throws {
        let home = try #require(home)
        let tokens = try home.runTogether(count: 100)
        #expect(Set(tokens).count == 100)
        #expect(home.daemons().count == 1)
        // The daemon inherits nothing from the process that started it.
        let daemon = try #require(home.daemons().first)
        #expect(try home.link("cwd", of: daemon) == "/")
        #expect(getsid(daemon) != getsid(0))
        #expect(try home.parent(of: daemon) != getpid())
        let variables = try home.environment(of: daemon)
        #expect(
            variables.allSatisfy { $0.hasPrefix("PRWLOCK_") || $0.hasPrefix("XDG_") || $0.hasPrefix("HOME=") }
        )
    }

    @Test("an idle daemon that leaves refuses no client")
    func arrivalsWhileLeaving() throws {
        let home = try #require(home)
        // The daemon exits soon after its last session, and new clients connect all the time.
        try home.setIdleTime("5ms")
        var tokens: [UInt64] = []
        for round in 0..<40 {
            tokens += try home.runTogether(count: 3)
            usleep(UInt32(round % 10) * 1000)
        }
        #expect(tokens.count == 120)
        #expect(Set(tokens).count == 120)
        #expect(home.daemons().count <= 1)
    }

    @Test("a daemon that was killed is replaced by the next client")
    func killed() throws {
        let home = try #require(home)
        let before = try home.runTogether(count: 1)
        let first = try #require(home.daemons().first)
        kill(first, SIGKILL)
        try home.waitForEnd(of: first)
        let after = try home.runTogether(count: 10)
        #expect(home.daemons().count == 1)
        #expect(home.daemons().first != first)
        #expect(after.allSatisfy { $0 > before[0] }, "tokens rise over crashes (G7)")
    }

    @Test(
        "a client that connects while a daemon drains waits for the next daemon, and starts none beside it (G1)"
    )
    func arrivalWhileDraining() throws {
        let home = try #require(home)
        _ = try home.runTogether(count: 1)
        let first = try #require(home.daemons().first)
        let holder = try RawSession(connectingTo: home.socketPath)
        let grant = try #require(try holder.ask("WRITE jobs"))
        #expect(grant.hasPrefix("GRANTED jobs write token="))
        let held = try #require(grant.split(separator: "=").last.flatMap { UInt64($0) })
        kill(first, SIGTERM)
        #expect(try holder.nextLine() == "! DRAIN")

        let late = try home.startTogether(count: 3)
        for _ in 0..<20 {
            #expect(home.daemons() == [first])
            usleep(5_000)
        }
        #expect(try holder.ask("RELEASE jobs") == "RELEASED jobs token=\(held)")
        let tokens = try home.finish(late)
        #expect(tokens.count == 3)
        #expect(tokens.allSatisfy { $0 > held })
        #expect(home.daemons().count == 1)
        #expect(home.daemons() != [first])
    }

    @Test("the error for a daemon that ends at once names the file with the reason")
    func endsAtOnce() throws {
        let home = try #require(home)
        try home.setDaemon("#!/bin/sh\necho no luck today\nexit 3\n")
        do throws(RendezvousError) {
            _ = try DaemonConnector(in: home.surroundings).connect()
            Issue.record("there is no daemon")
        } catch {
            #expect("\(error)".contains(home.logPath))
            let output = try FileContents.read(home.logPath)
            #expect(String(decoding: output, as: UTF8.self).contains("no luck today"))
        }
    }

    @Test(
        "a client with too low hard limits reports the limit, starts no daemon, and uses a running one",
        arguments: [
            ("ulimit -t 60", "CPU time, 60 s (`ulimit -H -t`)"),
            ("ulimit -n 255", "open descriptors, 255 (`ulimit -H -n`), where it needs 256"),
            ("ulimit -v 500000", "address space, 500000 KiB"),
            ("ulimit -d 200000", "data memory, 200000 KiB"),
            ("ulimit -s 200", "stack, 200 KiB"), ("ulimit -f 1000", "file size, "),
        ])
    func limited(limit: String, words: String) throws {
        let home = try #require(home)
        let refusal = try home.run(after: limit)
        #expect(refusal.contains("inherit its hard limit of \(words)"), "\(refusal)")
        #expect(refusal.hasPrefix("error: "))
        #expect(home.daemons().isEmpty)
        _ = try home.runTogether(count: 1)
        #expect(try home.run(after: limit).hasPrefix("token "))
    }

    @Test("soft limits, and hard limits that are high enough, do not prevent the start of a daemon")
    func softLimits() throws {
        let home = try #require(home)
        let output = try home.run(after: "ulimit -S -t 60; ulimit -S -n 100; ulimit -n 256; ulimit -S -s 200")
        #expect(output.hasPrefix("token "), "\(output)")
        let daemon = try #require(home.daemons().first)
        let limits = try FileContents.read("/proc/\(daemon)/limits")
        let lines = String(decoding: limits, as: UTF8.self).split(separator: "\n")
        #expect(lines.contains { $0.hasPrefix("Max cpu time              unlimited") })
        #expect(lines.contains { $0.hasPrefix("Max open files            256 ") })
    }

    @Test("a program that cannot be executed is reported in the same file")
    func notExecutable() throws {
        let home = try #require(home)
        try home.setDaemon("#!/nowhere/at/all\n")
        do throws(RendezvousError) {
            _ = try DaemonConnector(in: home.surroundings).connect()
            Issue.record("there is no daemon")
        } catch {
            let output = try FileContents.read(home.logPath)
            #expect(String(decoding: output, as: UTF8.self).contains("No such file"))
        }
    }
}
