import Foundation
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix
import TestSupport
import Testing

@testable import prwlock_tool

/// A server that grants each lock for a second, as one that hosts share, and says nothing about it any more.
private final class SilentServer: Sendable {
    let socketPath: String
    private let directory: TemporaryDirectory
    private let listener: Int32
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameter mark: a field of the grant, with the space before it.
    init(mark: String = "") throws {
        directory = try TemporaryDirectory()
        socketPath = directory("s")
        listener = try UnixSocket.listen(at: socketPath, mode: 0o600, group: nil, backlog: 64).release()
        let serve = { @Sendable [listener, ended] in
            Self.serve(listener, mark)
            ended.signal()
        }
        Thread(block: serve).start()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        ended.wait()
        close(listener)
    }

    private static func serve(_ listener: Int32, _ mark: String) {
        var peers: [Int32] = []
        while true {
            var requests = ([listener] + peers).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            poll(&requests, nfds_t(requests.count), -1)
            for request in requests.dropFirst() where request.revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 4096)
                let count = read(request.fd, &bytes, bytes.count)
                guard count > 0 else {
                    peers.removeAll { $0 == request.fd }
                    close(request.fd)
                    continue
                }
                let lines = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n")
                let answers = Array(lines.map { answer(String($0), mark) }.joined().utf8)
                send(request.fd, answers, answers.count, Int32(MSG_NOSIGNAL))
            }
            guard requests[0].revents != 0 else { continue }
            let peer = accept(listener, nil, nil)
            guard peer >= 0 else { break }
            peers.append(peer)
        }
        for peer in peers { close(peer) }
    }

    private static func answer(_ line: String, _ mark: String) -> String {
        let clock = BootClock.now() / 1_000_000
        return switch line.split(separator: " ").first {
        case "PING": "PONG\n"
        case "HELLO": "HELLO version=1 server=x session=1\n"
        case "STATUS": "END 0\n"
        case "WRITE": "GRANTED jobs write token=4611686018427387905\(mark) until=1000ms clock=\(clock)ms\n"
        case "RELEASE": "OK\n"
        default: ""
        }
    }
}

/// Locks that hosts share: the command notices by its own clock that a grant counts no more.
@Suite(.timeLimit(.minutes(5))) struct SharedLockTests {
    private static let loss = "the lock daemon did not confirm in time that this host still has it"

    @Test(
        "a command gets TERM when its grant counts no more, whatever the daemon does (G9)",
        // The part in C leaves the second grant to the rest.
        arguments: ["", " ownerdied=maybe"])
    func run(mark: String) throws {
        let server = try SilentServer(mark: mark)
        let script =
            "trap 'echo TERM; exit 0' TERM; echo $PRWLOCK_TOKEN $PRWLOCK_OWNERDIED; while :; do read x; done"
        let tool = try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock", "run", "jobs", "-c", script],
            socket: server.socketPath)
        #expect(try tool.nextLine() == "4611686018427387905" + (mark.isEmpty ? "" : " maybe"))
        #expect(try tool.nextLine() == "TERM")
        #expect(try tool.status() == 79)
        #expect(try tool.complaints() == "prwlock: lost the lock jobs: \(Self.loss); the command gets TERM\n")
    }

    @Test("the process that a lock is held for gets TERM when the grant counts no more")
    func hold() throws {
        let server = try SilentServer()
        let script = "trap 'echo TERM; exit 0' TERM; prwlock hold jobs; while :; do read x; done"
        let tool = try ToolProcess("/bin/sh", ["sh", "-c", script], socket: server.socketPath)
        #expect(try tool.nextLine() == "TERM")
    }

    private func upkeep(until: Instant, after lines: String) throws -> Upkeep.Event {
        let name = try #require(LockName("jobs"))
        let pair = try UnixSocket.pair()
        send(pair.second.rawValue, lines, lines.utf8.count, Int32(MSG_NOSIGNAL))
        var connection = BlockingConnection(over: try pair.first.duplicate())
        var upkeep = Upkeep(Acquire(name: name, mode: .write), Token(rawValue: 7), until: until)
        return upkeep.keep(over: &connection, watching: [])
    }

    @Test("what the daemon has sent counts before the clock, as this process may have been stopped")
    func linesFirst() throws {
        let confirmed =
            "! UNTIL until=3600000ms clock=\(BootClock.now() / 1_000_000)ms\n! REVOKED jobs token=7\n"
        guard case .lost(.revoked) = try upkeep(until: .zero, after: confirmed) else {
            Issue.record("it was confirmed")
            return
        }
        guard case .lost(.unconfirmed) = try upkeep(until: .zero, after: "! UNTIL until=1ms clock=1ms\n")
        else {
            Issue.record("it was not confirmed in time")
            return
        }
    }
}
