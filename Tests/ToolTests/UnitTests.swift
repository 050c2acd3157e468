import Glibc
import Posix
import Rendezvous
import TestSupport
import Testing

@testable import prwlock_tool

/// `prwlock` in a unit of a service manager.
@Suite struct UnitTests {
    let daemon: DaemonProcess
    let session: RawSession

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
    }

    /// A service manager that prints each message that it receives (`sd_notify(3)`) as a line.
    private func manager() throws -> (ToolProcess, address: String) {
        let path = daemon.directory("notify")
        let script = """
            $| = 1; $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die;
            print "up\\n"; while (defined $s->recv($m, 65536)) { $m =~ tr/\\n/|/; print "$m\\n"; }
            """
        let manager = try ToolProcess(
            "/usr/bin/perl", ["perl", "-MIO::Socket::UNIX", "-e", script, path], socket: daemon.socketPath)
        #expect(try manager.nextLine() == "up")
        return (manager, path)
    }

    private func start(_ arguments: [String], _ environment: [String]) throws -> ToolProcess {
        try ToolProcess(
            ToolProcess.programs + "/prwlock", ["prwlock"] + arguments, socket: daemon.socketPath,
            environment: environment)
    }

    @Test(
        "a process that waits in a unit reports that and extends its time; the command's messages reach the manager",
        arguments: [true, false])
    func notify(forks: Bool) throws {
        let (manager, address) = try manager()
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let say =
            "use IO::Socket::UNIX; $a = $ENV{NOTIFY_SOCKET}; $a =~ s/^@/\\0/;"
            + "$s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $a) or die $!; $s->send(q(READY=1)); "
        let command = try start(
            ["run"] + (forks ? [] : ["-F"]) + ["jobs", "perl", "-e", say], ["NOTIFY_SOCKET=\(address)"])
        // A report is without the holder if the daemon takes a fifth of a second; the next one comes a second later.
        var line = ""
        for _ in 0..<30 where !line.contains("held by ") {
            line = try #require(try manager.nextLine())
            #expect(line.hasPrefix("STATUS=waiting for jobs (write) for "))
            #expect(line.contains("|EXTEND_TIMEOUT_USEC=30000000|"))
        }
        #expect(line.contains("held by \(getpid())"))
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        var last = ""
        while last != "READY=1", let next = try manager.nextLine() { last = next }
        #expect(last == "READY=1")
        #expect(try command.status() == 0)
    }

    @Test("the manager's variables for the unit's main process are passed to the command")
    func mainProcess() throws {
        let script = try ToolProcess(
            shell: """
                export LISTEN_PID=$$ WATCHDOG_PID=1 LISTEN_FDS=1
                exec prwlock run jobs sh -c '[ $LISTEN_PID = $$ ] && echo $WATCHDOG_PID $LISTEN_FDS'
                """, at: daemon)
        #expect(try script.rest() == "1 1\n")
    }

    @Test("if Unix sockets are forbidden, the error names the setting to change")
    func forbiddenSockets() {
        let complaint = Complaint(RendezvousError.system(SystemError(code: EAFNOSUPPORT, call: "socket")))
        #expect(complaint.line.contains("allow AF_UNIX in RestrictAddressFamilies="))
    }
}
