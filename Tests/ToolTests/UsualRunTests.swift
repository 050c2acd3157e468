import ArgumentParser
import CRun
import Foundation
import Glibc
import LockVocabulary
import Posix
import Seeded
import TestSupport
import Testing

@testable import prwlock_tool

/// The part of `prwlock run` that is written in C, and where it leaves off.
@Suite(.timeLimit(.minutes(5))) struct UsualRunTests {
    /// What the C part reads in a command line; nil if it leaves the line to the argument parser.
    private func usual(_ words: [String]) -> RunPlan? {
        let strings = (["prwlock", "run"] + words).map { strdup($0) } + [nil]
        defer { strings.forEach { free($0) } }
        var line = run_line()
        guard run_read_line(Int32(strings.count - 1), strings, &line) == 1,
            let name = LockName(String(cString: line.name))
        else { return nil }
        var command: [ByteString] = []
        if let words = line.command {
            for word in sequence(first: words, next: { $0 + 1 }) {
                guard let word = word.pointee else { break }
                command.append(ByteString(String(cString: word).utf8))
            }
        } else {
            command = Program.shell(ByteString(String(cString: line.command_line).utf8))
        }
        var plan = RunPlan(name: name, command: command)
        plan.terms.mode = LockMode.allCases.first { $0.description == String(cString: line.mode) } ?? .read
        #expect(String(cString: line.verb) == plan.terms.mode.description.uppercased())
        plan.terms.note = line.note.flatMap { Note(encoding: String(cString: $0)) } ?? .none
        plan.daemon.path = line.socket.map { String(cString: $0) }
        plan.closesConnection = line.closes_connection != 0
        plan.hasNoMonitor = line.has_no_monitor != 0
        return plan
    }

    /// What the argument parser reads; nil if it refuses the line.
    private func parsed(_ words: [String]) -> RunPlan? {
        let carried = (["run"] + words).map { ByteString.carry($0.utf8) }
        guard let spelled = try? ArgumentSpelling.read(carried),
            let run = (try? Prwlock.parseAsRoot(spelled)) as? RunCommand
        else { return nil }
        return try? run.plan()
    }

    @Test("each command line that the C part accepts means the same to the argument parser")
    func lines() {
        let options = [
            "-s", "-x", "-e", "-n", "-o", "-F", "-w", "-E", "-k", "-c", "-u", "-h", "-V", "-xn", "-sw5",
            "-nE7", "-w1s", "-w", "--read", "--shared", "--write", "--exclusive", "--update", "--nb",
            "--nonblock", "--close", "--no-fork", "--wait", "--wait=2", "--timeout", "--verbose",
            "--conflict-exit-code=3", "--kill-after", "--note", "--note=a", "--note=", "--socket",
            "--socket=/s", "--command", "--command=x", "--inherit", "--encoded", "--lease", "--lease=5",
            "--excl", "--read=1", "--", "---", "-", "--help", "--unlock",
        ]
        let others = [
            "jobs", "5", "250ms", "1.5", "256", "true", "", "-", "--", "a b", "é", "a%20b", "-c", "x", "*",
        ]
        for seed in SeededGenerator.newSeeds {
            var random = SeededGenerator(seed: seed)
            var accepted = 0
            while accepted < 100 {
                let words = (0..<random.number(0...7)).map { random.pick($0 < 2 ? options : others) }
                guard var usual = usual(words) else { continue }
                accepted += 1
                let parsed = parsed(words)
                // These do not matter while the lock is free and stays granted.
                usual.terms.wait = parsed?.terms.wait ?? .forever
                usual.terms.conflictExitCode = parsed?.terms.conflictExitCode ?? 1
                usual.killAfter = parsed?.killAfter ?? RunPlan.usualKillAfter
                #expect(parsed == usual, "\(words), seed \(seed)")
            }
        }
    }

    @Test("the usual command lines are read in C")
    func usualLines() {
        let lines = [
            "jobs true", "-- jobs -- true", "-n jobs true", "-xw 5 jobs ls -l", "--read db pg_dump",
            "jobs -c true",
            "-c true jobs", "--wait=5 -E 7 jobs true", "--note nightly jobs true", "-F jobs true",
            "-o jobs true",
        ]
        for line in lines {
            #expect(usual(line.split(separator: " ").map(String.init)) != nil, "\(line)")
        }
    }

    /// Answers the first lines of a connection at once, as a daemon would. Returns them.
    private func serve(_ listener: borrowing OwnedDescriptor, _ answers: String) throws -> [String] {
        var request = pollfd(fd: listener.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&request, 1, 30_000) == 1)
        guard let peer = try UnixSocket.accept(from: listener) else {
            throw ToolProcess.Failure(description: "no connection came")
        }
        var received: [UInt8] = []
        while received.count(where: { $0 == UInt8(ascii: "\n") }) < 3, received != Array("PING\n".utf8) {
            let bytes = try ToolProcess.read(peer.rawValue)
            if bytes.isEmpty { break }
            received += bytes
        }
        send(peer.rawValue, answers, answers.utf8.count, Int32(MSG_NOSIGNAL))
        // The command ends, or the program drops the connection because the answers are not the usual ones.
        request.fd = peer.rawValue
        #expect(poll(&request, 1, 30_000) == 1)
        return String(decoding: received, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test("a free lock is asked for in one message, and the command has the token")
    func oneMessage() throws {
        let folder = try TemporaryDirectory()
        let listener = try UnixSocket.listen(at: folder("s"), mode: 0o600)
        let tool = try ToolProcess(
            ToolProcess.programs + "/prwlock",
            [
                "prwlock", "run", "--note", "n", "jobs", "-c",
                "echo $PRWLOCK_TOKEN $PRWLOCK_OWNERDIED $PRWLOCK_HELD",
            ],
            socket: folder("s"))
        let rows = "* holder pid=1 mode=read owner=- token=3 age=1ms lease=- note=-\nEND 1\n"
        let requests = try serve(listener, rows + "GRANTED jobs write token=7 ownerdied=1\nOK\n")
        #expect(requests == ["STATUS jobs", "WRITE jobs wait=0 note=n", "RELEASE jobs at=end"])
        #expect(try tool.rest() == "7 1 jobs=write=7\n")
        #expect(try tool.status() == 0)
    }

    @Test(
        "whatever else a daemon answers, the program asks again as it does without the C part",
        arguments: [
            "END 0\nBUSY jobs write held-by=1/write\nERROR not-held x\n",
            "END 0\nGRANTED jobs write token=7\nERROR not-held x\n",
            "END 0\nGRANTED jobs read token=7\nOK\n", "END 0\nGRANTED other write token=7\nOK\n",
            "END 0\nGRANTED jobs write token=0\nOK\n", "END 0\nGRANTED jobs write token=7 more=1\nOK\n",
            "END 0\nGRANTED jobs write token=99999999999999999999\nOK\n",
            "END 0\nGRANTED jobs write token=7\nOK\n! X\n",
            "! EXPIRED a token=1\nEND 0\nGRANTED jobs write token=7\nOK\n", "DENIED jobs read reason=x\n",
            "\0", "",
            "* holder pid=1 mode=read owner=hold.1 token=3 age=1ms lease=- note=-\nEND 1\nGRANTED jobs write token=7\nOK\n",
            "* holder\nEND 1\nGRANTED jobs write token=7\nOK\n",
            String(repeating: "* x owner=- \n", count: 500),
        ])
    func unusual(answers: String) throws {
        let folder = try TemporaryDirectory()
        let listener = try UnixSocket.listen(at: folder("s"), mode: 0o600)
        let tool = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "run", "jobs", "echo", "ran"], socket: folder("s"))
        #expect(try serve(listener, answers).count == 3)
        #expect(try serve(listener, "ERROR draining x\n") == ["PING"])
        #expect(try tool.rest().isEmpty)
        #expect(try tool.status() == 75)
    }

    @Test("the user's own daemon is found in C too, and left to Swift if its folder is open to others")
    func ownDaemon() throws {
        let folder = try TemporaryDirectory()
        let user = geteuid()
        let place = (user == 0 ? "run" : "tmp") + "/prwlock-\(user)"
        try FileManager.default.createDirectory(
            atPath: folder(place), withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let listener = try UnixSocket.listen(at: folder(place + "/prwlock.sock"), mode: 0o600)
        let run = {
            try ToolProcess(
                ToolProcess.programs + "/prwlock", ["prwlock", "run", "jobs", "true"], socket: "",
                environment: ["PRWLOCK_TEST_ROOT=\(folder.path)", "PRWLOCK_AUTOSTART=0"])
        }
        let tool = try run()
        #expect(try serve(listener, "END 0\nGRANTED jobs write token=7\nOK\n").count == 3)
        #expect(try tool.status() == 0)
        chmod(folder(place), 0o755)
        #expect(try run().status() != 0)
        var request = pollfd(fd: listener.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&request, 1, 0) == 0)
    }
}
