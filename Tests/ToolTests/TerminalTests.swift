import CTestSupport
import Glibc
import Posix
import TestSupport
import Testing

/// `prwlock` on a terminal, and as a job of a shell.
@Suite final class TerminalTests {
    let daemon: DaemonProcess
    let session: RawSession
    /// The other end of the terminal: the test types by writing here, and sees the output by reading here.
    let control: OwnedDescriptor
    let terminal: OwnedDescriptor

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
        var number: Int32 = -1
        control = OwnedDescriptor(owning: support_open_terminal(&number))
        terminal = OwnedDescriptor(owning: number)
    }

    /// A program with the terminal as its controlling terminal, standard input and standard error.
    private func start(_ arguments: [String]) throws -> ToolProcess {
        try ToolProcess(
            "/usr/bin/setsid", ["setsid", "-c"] + arguments, socket: daemon.socketPath,
            input: terminal.rawValue, errors: terminal.rawValue)
    }

    private func shell(_ script: String) throws -> ToolProcess {
        try start(["bash", "-c", "set -m; " + script])
    }

    private func type(_ text: String) { write(control.rawValue, text, text.utf8.count) }

    private func show(until words: String) throws -> String {
        var shown = ""
        while !shown.contains(words) {
            shown += String(decoding: try ToolProcess.read(control.rawValue), as: UTF8.self)
        }
        return shown
    }

    @Test(
        "a waiting process in the foreground shows the holder, and erases the line when the lock is granted")
    func waitingLine() throws {
        #expect(try session.ask("WRITE jobs note=nightly") == "GRANTED jobs write token=1")
        let command = try start(["prwlock", "run", "jobs", "echo", "ran"])
        let shown = try show(until: "held by \(getpid())")
        #expect(shown.hasPrefix("\r\u{1B}[Kprwlock: waiting for jobs (write) for "))
        #expect(!shown.contains("\n"))
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try command.nextLine() == "ran")
        #expect(try command.status() == 0)
    }

    @Test("a background job draws nothing on the terminal, and one that comes to the foreground does")
    func background() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try session.ask("WRITE other") == "GRANTED other write token=2")
        let script = try shell(
            "prwlock run jobs echo ran & prwlock run -w 2.5 other true; echo $?; fg >/dev/null; echo $?")
        #expect(try script.nextLine() == "1")
        // After two and a half seconds the foreground job has drawn its line, and a background job would have, too.
        let shown = try show(until: "waiting for jobs")
        #expect(shown.contains("waiting for other"))
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try script.nextLine() == "ran")
        #expect(try script.nextLine() == "0")
    }

    @Test("a job is stopped and continued as a whole, while it waits and while it runs")
    func jobControl() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(try session.ask("WATCH jobs") == "OK")
        let script = try shell(
            "prwlock run jobs sh -c 'echo up; read a; echo $a'; echo $?; fg >/dev/null; echo $?; fg >/dev/null; echo $?"
        )
        #expect(try session.nextLine()?.hasPrefix("! CHANGED jobs waiting") == true)
        type("\u{1A}")
        #expect(try script.nextLine() == "\(128 + SIGTSTP)")
        #expect(try session.ask("RELEASE jobs") == "RELEASED jobs token=1")
        #expect(try script.nextLine() == "up")
        type("\u{1A}")
        #expect(try script.nextLine() == "\(128 + SIGTSTP)")
        type("typed\n")
        #expect(try script.nextLine() == "typed")
        #expect(try script.nextLine() == "0")
    }

    @Test("an interrupt from the terminal reaches the command once, and the command decides")
    func interrupt() throws {
        let script = try shell(
            "prwlock run jobs sh -c 'trap \"n=x$n\" INT; echo up; read a; read b; echo $n'; echo $?")
        #expect(try script.nextLine() == "up")
        type("\u{03}")
        _ = try show(until: "^C")
        type("a\nb\n")
        #expect(try script.nextLine() == "x")
        #expect(try script.nextLine() == "0")
    }

    @Test("hold reports the process that it holds the lock for")
    func hold() throws {
        let script = try shell("prwlock hold jobs; read a")
        let shown = try show(until: "ends it before")
        #expect(shown.contains("jobs is held for process \(script.processID) (bash) until that ends"))
    }
}
