import Glibc
import Posix
import TestSupport
import Testing

@testable import Rendezvous

@Suite struct StartLockTests {
    private let directory: TemporaryDirectory
    private var socketPath: String { directory("s") }

    init() throws { directory = try TemporaryDirectory() }

    @Test("only one process at a time holds the lock file")
    func exclusive() throws {
        let first = try StartLock.tryAcquire(for: socketPath)
        let firstIsThere = isThere(first)
        #expect(firstIsThere)
        #expect(try !canAcquire())
        do throws(RendezvousError) {
            _ = try StartLock.acquire(for: socketPath, patience: .milliseconds(5))
            Issue.record("it is held")
        } catch {
            #expect("\(error)".contains(socketPath + ".lock"))
        }
        _ = consume first
        #expect(try canAcquire())
    }

    @Test(
        "an idle holder of the lock file is named long before the patience is over",
        arguments: [false, true])
    func idleHolder(isStopped: Bool) throws {
        let null = OwnedDescriptor(owning: open("/dev/null", O_RDWR | O_CLOEXEC))
        let holder = try ChildProcess(
            executable: "/usr/bin/flock",
            arguments: ["flock", "--no-fork", socketPath + ".lock", "sleep", "600"], environment: [],
            descriptors: [null.rawValue, null.rawValue, null.rawValue]
        ).spawn()
        defer {
            kill(holder, SIGKILL)
            waitpid(holder, nil, 0)
        }
        while try canAcquire() { usleep(1_000) }
        if isStopped {
            kill(holder, SIGSTOP)
            var status: Int32 = 0
            waitpid(holder, &status, WUNTRACED)
        }
        do throws(RendezvousError) {
            _ = try StartLock.acquire(for: socketPath, patience: .seconds(600))
            Issue.record("it is held")
        } catch {
            let words =
                "process \(holder) (sleep)\(isStopped ? ", which is stopped" : "") has \(socketPath).lock"
            #expect("\(error)".hasPrefix(words), "\(error)")
        }
    }

    @Test("a client stops waiting for the lock file once a daemon listens")
    func servedMeanwhile() throws {
        let lock = try StartLock.acquire(for: socketPath)
        let listener = try lock.listen()
        let other = try StartLock.acquireUnlessServed(for: socketPath, by: .never)
        let isHeld = isThere(other)
        #expect(!isHeld)
        _ = consume lock
        _ = consume listener
    }

    @Test("a socket file that a killed daemon left is taken over")
    func staleSocket() throws {
        _ = try StartLock.acquire(for: socketPath).listen()
        // The first listener is closed; its file still exists.
        #expect(access(socketPath, F_OK) == 0)
        let listener = try StartLock.acquire(for: socketPath).listen()
        _ = try UnixSocket.connect(to: socketPath)
        #expect(try hasArrival(at: listener))
    }

    @Test("the socket of a live daemon is not taken over, even with a full backlog")
    func liveSocket() throws {
        let listener = try StartLock.acquire(for: socketPath).listen(backlog: 0)
        let waiting = try UnixSocket.connect(to: socketPath)
        #expect(refusal() == "alreadyServed")
        #expect(refusal() == "alreadyServed")
        _ = consume waiting
        _ = consume listener
    }

    @Test("a file that is not a socket is not removed")
    func notASocket() {
        close(creat(socketPath, 0o600))
        #expect(refusal() == "notASocket")
        #expect(access(socketPath, F_OK) == 0)
    }

    @Test("a daemon leaves when no client has connected, and removes its files")
    func leave() throws {
        let listener = try StartLock.acquire(for: socketPath).listen()
        let anew = try StartLock.acquire(for: socketPath).leave(listener) { _ in
            Issue.record("no client had connected")
        }
        let anewIsThere = isThere(anew)
        #expect(!anewIsThere)
        #expect(access(socketPath, F_OK) != 0)
        #expect(access(socketPath + ".lock", F_OK) != 0)
    }

    @Test("a daemon stays if clients connected before it shut its listener down, and keeps all of them")
    func stay() throws {
        let listener = try StartLock.acquire(for: socketPath).listen()
        let early = [
            try UnixSocket.connect(to: socketPath).release(),
            try UnixSocket.connect(to: socketPath).release(),
        ]
        defer { for descriptor in early { close(descriptor) } }
        var arrived: [Int32] = []
        let anew = try StartLock.acquire(for: socketPath).leave(listener) { arrived.append($0.release()) }
        #expect(arrived.count == 2)
        for (near, far) in zip(early, arrived) {
            #expect(write(far, "x", 1) == 1)
            var byte: UInt8 = 0
            #expect(read(near, &byte, 1) == 1)
            close(far)
        }
        // The new listener serves the next client.
        _ = try UnixSocket.connect(to: socketPath)
        if let anew { #expect(try hasArrival(at: anew)) } else { Issue.record("it left") }
    }

    @Test("a lock file whose name was removed during the wait is not held")
    func removedLockFile() throws {
        let first = try StartLock.acquire(for: socketPath)
        // A cleaner of temporary files does the same.
        unlink(socketPath + ".lock")
        let second = try StartLock.tryAcquire(for: socketPath)
        let secondIsThere = isThere(second)
        #expect(secondIsThere)
        _ = consume first
        #expect(try !canAcquire())
        _ = consume second
    }

    private func canAcquire() throws -> Bool { isThere(try StartLock.tryAcquire(for: socketPath)) }

    private func hasArrival(at listener: borrowing OwnedDescriptor) throws -> Bool {
        isThere(try UnixSocket.accept(from: listener))
    }

    private func refusal() -> String {
        do throws(RendezvousError) {
            _ = try StartLock.acquire(for: socketPath).listen()
            return "listens"
        } catch {
            switch error {
            case .alreadyServed: return "alreadyServed"
            case .notASocket: return "notASocket"
            default: return error.description
            }
        }
    }
}
