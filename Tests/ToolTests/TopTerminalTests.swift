import CTestSupport
import Glibc
import Posix
import TestSupport
import Testing

/// `prwlock top` on a terminal: what it draws, and that it leaves the terminal as it was.
@Suite final class TopTerminalTests {
    let daemon: DaemonProcess
    let session: RawSession
    /// The other end of the terminal.
    let control: OwnedDescriptor
    let terminal: OwnedDescriptor
    /// What was shown and not looked at.
    var shown = ""

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
        var number: Int32 = -1
        control = OwnedDescriptor(owning: support_open_terminal(&number))
        terminal = OwnedDescriptor(owning: number)
        var size = winsize(ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal.rawValue, UInt(TIOCSWINSZ), &size)
    }

    private static let entry = "\u{1B}[?1049h\u{1B}[?25l"
    private static let exit = "\u{1B}[?1049l\u{1B}[?25h"

    private func start(_ script: String, environment: [String] = []) throws -> ToolProcess {
        try ToolProcess(
            "/usr/bin/setsid", ["setsid", "-c", "bash", "-c", script], socket: daemon.socketPath,
            environment: environment, input: terminal.rawValue, errors: terminal.rawValue)
    }

    private func type(_ text: String) { write(control.rawValue, text, text.utf8.count) }

    /// Reads the terminal's output up to and including the words; returns what precedes them.
    @discardableResult
    private func show(until words: String) throws -> String {
        while true {
            if let range = shown.firstRange(of: words) {
                defer { shown = String(shown[range.upperBound...]) }
                return String(shown[..<range.lowerBound])
            }
            shown += String(decoding: try ToolProcess.read(control.rawValue), as: UTF8.self)
        }
    }

    /// The state of the terminal, except whether input is echoed while it is read as lines.
    private var state: [UInt32] {
        var state = termios()
        tcgetattr(terminal.rawValue, &state)
        return [state.c_iflag, state.c_oflag, state.c_cflag, state.c_lflag]
    }

    /// The process that draws: the one of the two that is a child of the other.
    private func drawing(_ guardian: Int32) throws -> Int32 {
        let processes = try daemon.processes(named: "prwlock").filter { $0 != guardian }
        return try #require(processes.first)
    }

    @Test("it shows who blocks most, draws again in another size, and ends with q")
    func shows() throws {
        #expect(try session.ask("WRITE jobs note=nightly") == "GRANTED jobs write token=1")
        let waiting = try daemon.connect()
        try waiting.send("WRITE jobs")
        let before = state
        let top = try start("exec prwlock top >/dev/tty")
        try show(until: Self.entry)
        try show(until: "held (write), 1 holder, 1 waiting")
        try show(until: "nightly")
        #expect(state != before)
        var size = winsize(ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(control.rawValue, UInt(TIOCSWINSZ), &size)
        try show(until: "\u{1B}[40;1H")
        type("q")
        try show(until: Self.exit)
        #expect(try top.status() == 0)
        #expect(state == before)
    }

    @Test(
        "a signal ends both of its processes, whichever gets it, and the terminal is as it was",
        arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGKILL], [true, false])
    func killed(signal: Int32, isGuardian: Bool) throws {
        let before = state
        let top = try start("exec prwlock top >/dev/tty")
        try show(until: "prwlock top")
        let drawing = try drawing(top.processID)
        let watch = try ProcessWatch(process: drawing)
        kill(isGuardian ? top.processID : drawing, signal)
        try show(until: Self.exit)
        #expect(try top.status() == -signal)
        var request = pollfd(fd: watch.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(poll(&request, 1, 30_000) == 1)
        #expect(state == before)
    }

    @Test("Ctrl-C and Ctrl-\\ end it", arguments: [("\u{03}", SIGINT), ("\u{1C}", SIGQUIT)])
    func interrupted(key: String, signal: Int32) throws {
        let before = state
        let top = try start("exec prwlock top >/dev/tty")
        try show(until: "prwlock top")
        type(key)
        try show(until: Self.exit)
        #expect(try top.status() == -signal)
        #expect(state == before)
    }

    @Test("Ctrl-Z and a stop leave the screen to the shell, and fg draws it again")
    func stopped() throws {
        let before = state
        let script = "set -m; prwlock top >/dev/tty; echo $?; fg >/dev/null; echo $?; fg >/dev/null; echo $?"
        let shell = try start(script)
        try show(until: "prwlock top")
        type("\u{1A}")
        try show(until: Self.exit)
        #expect(try shell.nextLine() == "\(128 + SIGTSTP)")
        try show(until: Self.entry)
        try show(until: "prwlock top")
        // SIGSTOP, which the process cannot prepare for: the other one leaves the screen.
        let processes = try daemon.processes(named: "prwlock")
        let guardian = try #require(processes.first { parent(of: $0) == shell.processID })
        kill(try drawing(guardian), SIGSTOP)
        try show(until: Self.exit)
        #expect(try shell.nextLine() == "\(128 + SIGTSTP)")
        try show(until: Self.entry)
        try show(until: "prwlock top")
        type("q")
        try show(until: Self.exit)
        #expect(try shell.nextLine() == "0")
        #expect(state == before)
    }

    private func parent(of process: Int32) -> Int32? {
        let line = (try? FileContents.read("/proc/\(process)/stat")) ?? []
        let fields =
            String(decoding: line, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
        return fields.count > 1 ? Int32(fields[1]) : nil
    }

    @Test("it revokes a grant after a question, and says so")
    func revokes() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let waiting = try daemon.connect()
        try waiting.send("WRITE jobs")
        let top = try start("exec prwlock top >/dev/tty")
        try show(until: "1 holder, 1 waiting")
        type("r")
        try show(until: "token 1")
        type("y")
        try show(until: "revoked: jobs, token 1")
        #expect(try session.nextLine() == "! REVOKED jobs token=1")
        type("q")
        #expect(try top.status() == 0)
    }

    @Test("it says that the daemon has gone, and goes on with the next one")
    func daemonGone() throws {
        let top = try start("exec prwlock top >/dev/tty")
        try show(until: "no request waits")
        #expect(try daemon.stop() == 0)
        try show(until: "trying again")
        try daemon.restart()
        try show(until: "no request waits")
        type("q")
        #expect(try top.status() == 0)
    }

    @Test("without a terminal that can be drawn on, it names the way that needs none")
    func noTerminal() throws {
        let pipe = try ToolProcess(["top"], at: daemon)
        #expect(try pipe.complaints().contains("standard output is not a terminal: use `prwlock top --once`"))
        #expect(try pipe.status() == 64)
        let dumb = try start("TERM=dumb prwlock top >/dev/tty; echo $?")
        #expect(try dumb.nextLine() == "64")
        try show(until: "TERM=dumb")
        #expect(try ToolProcess(["top", "--json"], at: daemon).complaints().contains("--json needs --once"))
    }

    @Test("without colours it sends no attribute, and in a locale without UTF-8 only ASCII")
    func plain() throws {
        #expect(try session.ask("WRITE %E8%A1%A8") == "GRANTED %E8%A1%A8 write token=1")
        let waiting = try daemon.connect()
        try waiting.send("WRITE %E8%A1%A8")
        let top = try start("exec prwlock top >/dev/tty", environment: ["NO_COLOR=1", "LC_ALL=C"])
        try show(until: "\u{1B}[2J")
        let drawn = try show(until: "-- ??: held")
        #expect(!drawn.contains(/\u{1B}\[[0-9;]*m/))
        #expect(drawn.utf8.allSatisfy { $0 < 0x80 })
        type("q")
        #expect(try top.status() == 0)
    }

    @Test("--once prints the table, and with --json what is in it")
    func once() throws {
        #expect(try session.ask("WRITE a%20b") == "GRANTED a%20b write token=1")
        let waiting = try daemon.connect()
        try waiting.send("READ a%20b")
        while try session.ask("LIST by=waiters") == "END 0" {}
        let text = try ToolProcess(["top", "--once", "--interval", "0.3"], at: daemon).rest()
        #expect(text.contains("1 locks  1 grants  1 waiting"))
        #expect(text.contains("WAITING  LONGEST WAIT"))
        let json = try ToolProcess(["top", "--once", "--json", "--interval", "0.3"], at: daemon).rest()
        #expect(json.contains(#""name":"a b","encoded":"a%20b","mode":"write","holders":1,"waiters":1"#))
    }
}
