import Foundation
import Glibc
import LockVocabulary
import Posix
import TestSupport
import Testing
import WireExamples

/// A server that answers as a daemon does until the first `PING`, and then some verbs with something else.
private final class FalseServer: Sendable {
    let socketPath: String
    private let directory: TemporaryDirectory
    private let listener: Int32
    private let ended = DispatchSemaphore(value: 0)

    private static let honest: [Substring: String] = [
        "HELLO": "HELLO version=1 server=x session=1", "PING": "PONG", "STATS": "END 0", "STATUS": "END 0",
        "LIST": "END 0", "SESSIONS": "END 0", "VALIDATE": "STALE jobs token=1",
        "REVOKE": "REVOKED jobs token=1", "READ": "BUSY jobs read held-by=1/write",
        "WRITE": "BUSY jobs write held-by=1/write",
    ]

    /// - Parameter verbs: those that are answered with `reply`; all if there are none.
    init(verbs: [Substring], reply: String) throws {
        directory = try TemporaryDirectory()
        socketPath = directory("s")
        listener = try UnixSocket.listen(at: socketPath, mode: 0o600, group: nil, backlog: 64).release()
        let serve = { @Sendable [listener, ended] in
            Self.serve(listener, verbs, reply)
            ended.signal()
        }
        Thread(block: serve).start()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        ended.wait()
        close(listener)
    }

    private struct Peer {
        var pending: [UInt8] = []
        var isTrusted = false
    }

    private static func serve(_ listener: Int32, _ verbs: [Substring], _ reply: String) {
        var peers: [Int32: Peer] = [:]
        while true {
            var requests = ([listener] + peers.keys).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            poll(&requests, nfds_t(requests.count), -1)
            for request in requests.dropFirst() where request.revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 4096)
                let count = read(request.fd, &bytes, bytes.count)
                peers[request.fd]?.pending += bytes.prefix(max(0, count))
                let goesOn =
                    count > 0 && answer(request.fd, &peers[request.fd, default: Peer()], verbs, reply)
                if !goesOn {
                    peers[request.fd] = nil
                    close(request.fd)
                }
            }
            guard requests[0].revents != 0 else { continue }
            let peer = accept(listener, nil, nil)
            guard peer >= 0 else { break }
            peers[peer] = Peer()
        }
        for peer in peers.keys { close(peer) }
    }

    /// Answers all complete lines. Returns false after the false answer to a request.
    private static func answer(
        _ descriptor: Int32, _ peer: inout Peer, _ verbs: [Substring], _ reply: String
    ) -> Bool {
        while let end = peer.pending.firstIndex(of: UInt8(ascii: "\n")) {
            var words = String(decoding: peer.pending[..<end], as: UTF8.self).split(separator: " ")
            peer.pending.removeSubrange(...end)
            let tag = words.first?.first == "#" ? words.removeFirst() + " " : ""
            let verb = words.first ?? ""
            let isFalse = peer.isTrusted && (verbs.isEmpty || verbs.contains(verb))
            peer.isTrusted = peer.isTrusted || verb == "PING"
            let said = isFalse ? reply : honest[verb] ?? "OK"
            // A row and a notice have no tag.
            let lines = said.split(separator: "\n").map { "*!".contains($0.first ?? " ") ? $0 : tag + $0 }
            let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
            send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            if isFalse, verb != "HELLO" { return false }
        }
        return true
    }
}

@Suite("What a false server says reaches no terminal as it is", .timeLimit(.minutes(5)))
struct FalseServerTests {
    private static let evil = Examples.harmful

    private struct Saying: CustomTestStringConvertible {
        let testDescription: String
        var verbs: [Substring] = []
        let reply: String
    }

    private static let sayings = [
        Saying(testDescription: "an error", reply: "ERROR limit-grants x\(evil)"),
        Saying(
            testDescription: "an error of the lock", verbs: ["READ", "WRITE"],
            reply: "ERROR limit-grants lock=jobs mode=write x\(evil)"),
        Saying(testDescription: "an error with an unknown code", reply: "ERROR x\(evil) x\(evil)"),
        Saying(testDescription: "a refusal", reply: "DENIED jobs x\(evil) reason=x\(evil)"),
        Saying(
            testDescription: "a greeting", verbs: ["HELLO"],
            reply: "HELLO version=1 server=x\(evil) session=1"),
        Saying(testDescription: "a counter", verbs: ["STATS"], reply: "* x\(evil) 5\nEND 1"),
        Saying(
            testDescription: "a holder", verbs: ["STATUS"],
            reply: "* holder pid=1 mode=x\(evil) owner=x\(evil) token=1 age=1s lease=- note=x\(evil)\nEND 1"),
        Saying(
            testDescription: "a lock", verbs: ["LIST"],
            reply: "* lock x\(evil) mode=- holders=1 waiters=0 ownerdied=0\nEND 1"),
        Saying(
            testDescription: "a session", verbs: ["SESSIONS"],
            reply: "* session id=1 pid=1 uid=1 client=x\(evil) grants=0 waiters=0 age=1s\nEND 1"),
        Saying(
            testDescription: "a change", verbs: ["WATCH"],
            reply: "OK\n! CHANGED x\(evil) granted pid=1 mode=read token=1 owner=- tag=- request=- upgrades=-"
        ),
        Saying(
            testDescription: "a circle", verbs: ["READ", "WRITE"],
            reply: "DEADLOCK jobs write cycle=1/x\(evil):x\(evil)"),
        Saying(testDescription: "nothing that is known", reply: "x\(evil)"),
    ]

    private static let commands = [
        ["run", "--verbose", "-w", "0.2", "jobs", "true"], ["run", "-F", "-n", "jobs", "true"],
        ["hold", "-n", "--pid", "\(getpid())", "jobs"], ["release", "--pid", "\(getpid())", "jobs"],
        ["status", "jobs"], ["status"], ["status", "--json", "jobs"], ["list"], ["list", "--json"],
        ["sessions"],
        ["sessions", "--json"], ["stats"], ["stats", "--json"], ["watch"], ["watch", "--json"], ["ping"],
        ["ping", "--json"], ["validate", "jobs", "1"], ["revoke", "jobs", "1"],
        ["top", "--once", "--interval", "0.1"], ["top", "--once", "--interval", "0.1", "--json"],
    ]

    @Test("by any command, whatever it says", arguments: sayings)
    private func everyCommand(saying: Saying) throws {
        let server = try FalseServer(verbs: saying.verbs, reply: saying.reply)
        let running = try Self.commands.map { words in
            let tool = try ToolProcess(
                ToolProcess.programs + "/prwlock", ["prwlock"] + words, socket: server.socketPath)
            return (words, tool)
        }
        for (words, tool) in running {
            if words[0] == "watch", !saying.verbs.isEmpty, !saying.verbs.contains("WATCH") {
                // The server says nothing more.
                tool.signal(SIGTERM)
            }
            for text in [try tool.rest(), try tool.complaints()] {
                let found = text.unicodeScalars.filter { $0 != "\n" && Harmless.isHarmful($0) }
                #expect(found.isEmpty, "\(words) of \(saying.testDescription)")
            }
            _ = try tool.status()
        }
    }

    @Test("an error is shown by run and watch with its characters escaped")
    func escaped() throws {
        let server = try FalseServer(verbs: [], reply: "ERROR limit-grants \u{1B}[2J\u{7}\u{61C}\u{E0041}")
        for words in [["run", "jobs", "true"], ["watch"]] {
            let tool = try ToolProcess(
                ToolProcess.programs + "/prwlock", ["prwlock"] + words, socket: server.socketPath)
            #expect(try tool.complaints().contains(#": \x1B[2J\x07\u{061C}\u{E0041};"#), "\(words)")
            #expect(try tool.status() == 75)
        }
    }

    @Test(
        "a lock that the rules hide is not called free or stale",
        arguments: [["status", "jobs"], ["status", "--json", "jobs"], ["validate", "jobs", "1"]])
    func hidden(words: [String]) throws {
        let server = try FalseServer(
            verbs: ["STATUS", "VALIDATE"], reply: "DENIED jobs look reason=not-permitted")
        let tool = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock"] + words, socket: server.socketPath)
        #expect(try tool.complaints() == "prwlock: you may not look at jobs: not-permitted\n")
        #expect(try tool.rest() == "")
        #expect(try tool.status() == 77)
    }
}
