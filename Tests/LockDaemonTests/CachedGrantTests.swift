import CLinux
import CSlot
import CTestSupport
import Glibc
import Posix
import TestSupport
import Testing

/// A session that shares slots with the daemon, as a client maps them.
private final class CachingSession {
    let session: RawSession
    private let slots: UnsafeMutableRawPointer
    private let serving: UnsafeMutableRawPointer
    private let page: OwnedDescriptor

    init(_ daemon: DaemonProcess) throws {
        session = try daemon.connect()
        try session.send("HELLO cache=1")
        var bytes = [UInt8](repeating: 0, count: 4_096)
        var numbers = [Int32](repeating: -1, count: Int(LINUX_MOST_DESCRIPTORS))
        var count: Int32 = 0
        var request = pollfd(fd: session.descriptor, events: Int16(POLLIN), revents: 0)
        try #require(poll(&request, 1, 30_000) == 1)
        let length = linux_receive_descriptors(
            session.descriptor, &bytes, bytes.count, &numbers, &count, 0)
        let reply = String(decoding: bytes.prefix(max(0, Int(length))), as: UTF8.self)
        try #require(reply.hasSuffix(" slots=64\n") && count == 2, "\(reply) with \(count) descriptors")
        session.count(received: Int(length))
        let file = OwnedDescriptor(owning: numbers[0])
        page = OwnedDescriptor(owning: numbers[1])
        slots = try Self.map(file.rawValue, PROT_READ | PROT_WRITE)
        serving = try Self.map(page.rawValue, PROT_READ)
    }

    private static func map(_ file: Int32, _ protection: Int32) throws -> UnsafeMutableRawPointer {
        let address = mmap(nil, 4_096, protection, MAP_SHARED, file, 0)
        return try #require(address == MAP_FAILED ? nil : address)
    }

    deinit {
        munmap(slots, 4_096)
        munmap(serving, 4_096)
    }

    /// A grant that the daemon caches, and its slot.
    struct Cached {
        let token: UInt64
        let word: UnsafeMutablePointer<UInt64>
        let isRead: Bool

        func enter() -> Bool { prwlock_slot_enter(word, prwlock_slot_generation(token), isRead) }
        func leave() -> Bool { prwlock_slot_leave(word, prwlock_slot_generation(token)) }
    }

    /// Takes a lock until its grant is cached; it is held then.
    func cached(_ mode: String, _ name: String) throws -> Cached {
        _ = try session.ask("\(mode) \(name)")
        _ = try session.ask("RELEASE \(name)")
        let reply = try #require(try session.ask("\(mode) \(name)"))
        let fields = reply.split { " =".contains($0) }
        let values = Dictionary(uniqueKeysWithValues: zip(fields, fields.dropFirst()))
        let token = try #require(values["token"].flatMap { UInt64($0) }, "\(reply)")
        let index = try #require(values["slot"].flatMap { UInt32($0) }, "\(reply)")
        #expect(values["gen"] == "\(token)")
        return Cached(token: token, word: prwlock_slot_word(slots, index), isRead: mode == "READ")
    }

    var isServed: Bool { prwlock_slot_is_served(serving.assumingMemoryBound(to: UInt32.self)) }

    /// Blocks until a process serves.
    func awaitService() throws {
        // Its answer comes from a process that serves.
        #expect(try session.ask("PING") == "PONG")
        #expect(isServed)
    }

    /// Whether the page can be mapped, or opened, for writing.
    var canWriteServing: Bool {
        let address = mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_SHARED, page.rawValue, 0)
        return address != MAP_FAILED || write(page.rawValue, "x", 1) == 1
    }
}

/// Cached grants, as a client has them that maps the memory of its slots.
@Suite struct CachedGrantTests {
    @Test(
        "a cached grant is released and taken without the daemon, and no other session sees a holder meanwhile"
    )
    func fastPath() throws {
        let daemon = try DaemonProcess()
        let client = try CachingSession(daemon)
        let other = try daemon.connect()
        let cached = try client.cached("WRITE", "jobs")
        for _ in 0..<1_000 {
            #expect(cached.leave())
            #expect(cached.enter())
        }
        #expect(try other.ask("WRITE jobs wait=0")?.contains("BUSY jobs write held-by=") == true)
        // Another request came, so the release goes by the socket.
        #expect(!cached.leave())
        #expect(
            try client.session.ask("RELEASE jobs token=\(cached.token)")
                == "RELEASED jobs token=\(cached.token)")
        #expect(try other.ask("WRITE jobs wait=0")?.hasPrefix("GRANTED jobs write") == true)
        #expect(!cached.enter())
    }

    @Test("what is not held is taken at once, also from a process that is stopped (G13)")
    func takenWhileIdle() throws {
        let daemon = try DaemonProcess()
        let client = try CachingSession(daemon)
        let cached = try client.cached("READ", "jobs")
        #expect(cached.leave())
        let other = try daemon.connect()
        #expect(try other.rows("STATUS jobs").first?.hasPrefix("* cached ") == true)
        #expect(try other.ask("WRITE jobs wait=0")?.hasPrefix("GRANTED jobs write") == true)
        #expect(!cached.enter())
        #expect(try client.session.ask("VALIDATE jobs token=\(cached.token)")?.hasPrefix("STALE") == true)
    }

    @Test("a daemon that is killed serves no more, and a client sees it before it reads its socket")
    func killed() throws {
        let daemon = try DaemonProcess()
        let client = try CachingSession(daemon)
        #expect(client.isServed)
        #expect(!client.canWriteServing)
        daemon.kill()
        #expect(!client.isServed)
    }

    @Test("cached grants survive the process that serves, held or not (G14)")
    func kept() throws {
        let daemon = try DaemonProcess("--keep")
        let client = try CachingSession(daemon)
        let (held, idle) = (try client.cached("WRITE", "held"), try client.cached("WRITE", "idle"))
        let lost = try client.cached("WRITE", "lost")
        #expect(idle.leave() && lost.leave())
        let other = try daemon.connect()
        for _ in 0..<3 {
            try daemon.killWorker()
            try client.awaitService()
            #expect(idle.enter() && idle.leave())
            #expect(try other.ask("WRITE held wait=0")?.contains("BUSY held write") == true)
        }
        #expect(try other.ask("WRITE lost wait=0")?.hasPrefix("GRANTED lost write") == true)
        try daemon.killWorker()
        #expect(!lost.enter())
        #expect(!held.leave())
        #expect(
            try client.session.ask("RELEASE held token=\(held.token)") == "RELEASED held token=\(held.token)")
        #expect(try other.ask("WRITE held wait=0")?.hasPrefix("GRANTED held write") == true)
        #expect(idle.enter())
    }

    @Test("the end of a session marks what it held for writing, and not what was only cached (G11)")
    func marks() throws {
        let daemon = try DaemonProcess("--keep")
        let client = try CachingSession(daemon)
        _ = try client.cached("WRITE", "held")
        let idle = try client.cached("WRITE", "idle")
        #expect(idle.leave())
        try daemon.killWorker()
        client.session.close()
        let other = try daemon.connect()
        #expect(try other.ask("WRITE held wait=10s")?.hasSuffix(" ownerdied=1") == true)
        #expect(try other.ask("WRITE idle wait=10s")?.contains("ownerdied") == false)
    }

    @Test(
        "a daemon without a cache says so, and gives no descriptors", arguments: ["--no-cache", "--cache=no"])
    func switchedOff(option: String) throws {
        let daemon = try DaemonProcess(option)
        let session = try daemon.connect()
        #expect(try session.ask("HELLO cache=1")?.hasSuffix(" slots=0") == true)
        for _ in 0..<3 {
            #expect(try session.ask("WRITE jobs")?.contains("slot=") == false)
            _ = try session.ask("RELEASE jobs")
        }
        daemon.kill()
    }

    @Test("what a client writes into its slots ends neither the daemon nor the locks of others (G13)")
    func hostile() throws {
        let daemon = try DaemonProcess()
        let client = try CachingSession(daemon)
        let other = try CachingSession(daemon)
        let (cached, others) = (try client.cached("WRITE", "mine"), try other.cached("WRITE", "theirs"))
        for word in [0, 1, .max, cached.token << 16, others.token << 16 | 1, 1 << 63, 0x8000] as [UInt64] {
            cached.word.pointee = word
            #expect(try client.session.rows("STATUS mine").last?.hasPrefix("END") == true)
            #expect(try client.session.ask("WRITE theirs wait=0")?.contains("BUSY") != false)
        }
        #expect(!others.leave())
        #expect(try other.session.ask("RELEASE theirs token=\(others.token)")?.hasPrefix("RELEASED") == true)
        daemon.kill()
    }

    @Test(
        "the memory of a session that has ended is freed, also if its client keeps the file",
        arguments: [[], ["--keep"]])
    func freed(options: [String]) throws {
        let daemon = try DaemonProcess(arguments: options)
        let client = try CachingSession(daemon)
        let cached = try client.cached("WRITE", "jobs")
        #expect(cached.leave())
        try client.session.send("QUIT")
        _ = try client.session.linesToEnd()
        // A worker carries this out after it has committed the session's end.
        #expect(try daemon.connect().ask("PING") == "PONG")
        #expect(cached.word.pointee == 0)
        #expect(!cached.enter())
    }

    @Test("slots yield where descriptors are short, and sessions go on") func fewDescriptors() throws {
        let daemon = try DaemonProcess()
        try #require(support_limit_descriptors(daemon.processID, 64) == 0)
        var sessions: [RawSession] = []
        var answers: [Bool] = []
        for _ in 0..<16 {
            let session = try daemon.connect()
            answers.append(try session.ask("HELLO cache=1")?.hasSuffix(" slots=64") == true)
            sessions.append(session)
        }
        #expect(answers.first == true && answers.last == false)
        #expect(try sessions.allSatisfy { try $0.ask("PING") == "PONG" })
    }
}
