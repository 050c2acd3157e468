import CTestSupport
import Glibc
import Posix
import TestSupport
import Testing

/// The rule file of a daemon, and the facts that the kernel reports of its clients.
@Suite("The rule file of a daemon") struct RuleFileTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ text: String, mode: mode_t = 0o600) throws {
        unlink(directory("rules"))
        let number = open(directory("rules"), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        let file = OwnedDescriptor(owning: number)
        try FileContents.write(Array(text.utf8), to: file)
        fchmod(number, mode)
    }

    private func daemon(_ arguments: String...) throws -> DaemonProcess {
        try DaemonProcess(arguments: ["--rules", directory("rules")] + arguments, in: directory)
    }

    /// The reason why a daemon does not start with a rule file.
    private func refusal() throws -> String {
        let daemon = try DaemonProcess("--rules", directory("rules"), in: directory, waits: false)
        #expect(try daemon.exitStatus() == 64)
        return daemon.log
    }

    @Test("it is read at the start and on reload; a bad one is refused whole, and the old stays")
    func reload() throws {
        try write("deny user=\(getuid()) write secret/\n")
        let daemon = try daemon()
        let session = try daemon.connect()
        #expect(try session.ask("WRITE secret/x") == "DENIED secret/x write reason=not-permitted")
        #expect(try session.ask("READ secret/x")?.hasPrefix("GRANTED") == true)

        try write("deny everyone read *\ndeny user=nobody-of-this-name read *\n")
        daemon.signal(SIGHUP)
        try daemon.waitForLog("rules:2:11: there is no user `nobody-of-this-name`")
        #expect(try session.ask("READ other")?.hasPrefix("GRANTED") == true)

        try write("deny everyone read *\n")
        daemon.signal(SIGHUP)
        try daemon.waitForLog("limits, rules and log level are read again")
        #expect(try session.ask("READ more") == "DENIED more read reason=not-permitted")
        #expect(try session.ask("WRITE secret/y")?.hasPrefix("GRANTED") == true)
        try daemon.waitForLog("was denied: read")
    }

    @Test("a daemon does not start with rules that it does not understand") func badStart() throws {
        try write("allow everyone fly *")
        #expect(try refusal().contains("rules:1:16: `fly` is not a right"))
        unlink(directory("rules"))
        #expect(try refusal().contains("rules"))
    }

    @Test("a rule file that other users may write is refused") func writable() throws {
        try write("", mode: 0o620)
        #expect(try refusal().contains("rules is open to group"))
        try write("", mode: 0o602)
        #expect(try refusal().contains("rules is open to all users"))
    }

    @Test("what is no file is not read, nor waited for") func noFile() throws {
        mkfifo(directory("rules"), 0o600)
        #expect(try refusal().contains("rules"))
    }

    @Test("a client's own group counts") func group()
        throws
    {
        try write("allow group=\(getgid()) read a\ndeny everyone read *\n")
        let daemon = try daemon()
        let session = try daemon.connect()
        #expect(try session.ask("READ a")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("READ b")?.hasPrefix("DENIED") == true)
    }

    @Test("a supplementary group counts, and another user is another user", .enabled(if: getuid() == 0))
    func otherUser() throws {
        try write("allow group=4242 read,notes a\ndeny user=4243 read *\n")
        let daemon = try daemon("--socket-mode", "0666")
        chmod(directory(""), 0o755)
        let own = try daemon.connect()
        #expect(try own.ask("WRITE jobs note=secret")?.hasPrefix("GRANTED") == true)
        let other = try PeerProcess(connectingTo: daemon.socketPath, as: 4_243, group: 4_242)
        #expect(try other.session.ask("READ a")?.hasPrefix("GRANTED") == true)
        #expect(try other.session.ask("READ b")?.hasPrefix("DENIED") == true)
        try other.session.send("STATUS jobs")
        let row = try other.session.nextLine()
        #expect(row?.hasSuffix("note=-") == true, "\(row ?? "")")
        #expect(try own.ask("STATUS jobs")?.hasSuffix("note=secret") == true)
    }

    @Test("a client's program is the one that the kernel says it runs") func executable() throws {
        try write("allow exe=\(try program()) read *\ndeny everyone read *\n")
        let daemon = try daemon()
        #expect(try daemon.connect().ask("READ jobs")?.hasPrefix("GRANTED") == true)
        try write("allow exe=/bin/true read *\ndeny everyone read *\n")
        let other = try DaemonProcess("--rules", directory("rules"))
        let session = try other.connect()
        #expect(try session.ask("READ jobs")?.hasPrefix("DENIED") == true)
    }

    private func program() throws -> String {
        try #require(ProcessFacts.executable(of: getpid()))
    }

    @Test("new rules that go by programs are held against those who are here already") func lateFacts() throws
    {
        try write("")
        let daemon = try daemon()
        let session = try daemon.connect()
        #expect(try session.ask("READ a")?.hasPrefix("GRANTED") == true)
        try write("allow exe=\(try program()) read b\ndeny everyone read *\n")
        daemon.signal(SIGHUP)
        try daemon.waitForLog("read again")
        #expect(try session.ask("READ b")?.hasPrefix("GRANTED") == true)
        #expect(try session.ask("READ c")?.hasPrefix("DENIED") == true)
    }
}
