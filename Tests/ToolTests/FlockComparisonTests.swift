import Glibc
import Posix
import TestSupport
import Testing

/// Compares calls of `flock(1)` and of `prwlock run`. `L` stands for flock's file and for prwlock's lock name.
///
/// The manual lists the differences under COMPARISON WITH FLOCK.
@Suite struct FlockComparisonTests {
    struct Call: CustomTestStringConvertible {
        var line: String
        /// The exit status of `prwlock run`, where it differs from that of `flock`.
        var differs: Int32?

        init(_ line: String, differs: Int32? = nil) {
            self.line = line
            self.differs = differs
        }

        var testDescription: String { line }
    }

    /// The calls on a free lock.
    static let free = [
        Call("L true"), Call("L false"), Call("-x L true"), Call("-e L true"), Call("-s L true"),
        Call("-n L true"), Call("-xn L true"), Call("-xs L true"), Call("-w 1 L true"), Call("-w1 L true"),
        Call("-nw 1 L true"), Call("-w 0.5 L true"), Call("-w .5 L true"), Call("-w 1e-1 L true"),
        Call("-w 0 L true"), Call("--wait 1 L true"), Call("--wait=1 L true"), Call("--timeout 1 L true"),
        Call("--timeout=1 L true"), Call("--exclusive L true"), Call("--shared L true"),
        Call("--nonblock L true"), Call("--nonblocking L true"), Call("--nb L true"), Call("--excl L true"),
        Call("--sha L true"), Call("--non L true"), Call("--conflict-exit-code 7 -n L true"),
        Call("--conf=7 -n L true"), Call("-E 7 -n L true"), Call("-E7 -n L true"), Call("-nE7 L true"),
        Call("--close L true"), Call("-o L true"), Call("--no-fork L true"), Call("-F L true"),
        Call("--verbose L true"), Call("--verb L true"), Call("L -c true"), Call("L -c false"),
        Call("L -c 'exit 5'"), Call("L --command true"), Call("L -c 'a b' extra"), Call("-- L true"),
        Call("-n -- L true"), Call("L sh -c 'exit 9'"), Call("--bogus L true"), Call("-w x L true"),
        Call("-E 300 -n L true"), Call("-E x -n L true"), Call("L"), Call(""), Call("-V"), Call("--version"),
        Call("--help"), Call("-h"),
        Call("-c true L", differs: 0), Call("L -- true", differs: 0), Call("L /nonexistent", differs: 127),
        Call("L /etc/passwd", differs: 126), Call("-w -1 L true", differs: 64),
        Call("-u L true", differs: 64),
    ]

    /// The calls on a lock that another process holds.
    static let held = [
        Call("-n L true"), Call("-xn L true"), Call("-sn L true"), Call("--nb L true"), Call("--non L true"),
        Call("-w 0 L true"), Call("-w 0.5 L true"), Call("-w 5e-1 L true"), Call("-nE7 L true"),
        Call("--conf=7 -n L true"), Call("-E 0 -n L true"), Call("-n -- L true"), Call("-n L -c true"),
        Call("-w 0.5 --conflict-exit-code 9 L true"),
    ]

    @Test("calls on a free lock end as those of flock(1), except for the differences in the manual")
    func freeLock() throws {
        let daemon = try DaemonProcess()
        let folder = try TemporaryDirectory()
        for call in Self.free { try compare(call, daemon, folder) }
    }

    @Test("calls on a held lock end as those of flock(1)")
    func heldLock() throws {
        let daemon = try DaemonProcess()
        let folder = try TemporaryDirectory()
        let session = try daemon.connect()
        #expect(try session.ask("WRITE L")?.hasPrefix("GRANTED") == true)
        let holder = try ToolProcess(
            shell: "exec flock \(folder("L")) sh -c 'echo held; read end'", at: daemon)
        #expect(try holder.nextLine() == "held")
        for call in Self.held { try compare(call, daemon, folder) }
        holder.enter()
        #expect(try holder.status() == 0)
    }

    private func compare(_ call: Call, _ daemon: DaemonProcess, _ folder: TemporaryDirectory) throws {
        let flock = try status("cd \(folder("")) && flock \(call.line)", daemon)
        var prwlock = try status("cd \(folder("")) && prwlock run \(call.line)", daemon)
        // 75: on a busy machine the daemon may not answer within 750 ms. No call ends so otherwise.
        for _ in 0..<5 where prwlock == 75 {
            prwlock = try status("cd \(folder("")) && prwlock run \(call.line)", daemon)
        }
        #expect(prwlock == call.differs ?? flock, "\(call.line): flock ends with \(flock)")
        if let differs = call.differs {
            #expect(differs != flock, "\(call.line): the manual names a difference that is none")
        }
    }

    private func status(_ line: String, _ daemon: DaemonProcess) throws -> Int32 {
        let process = try ToolProcess(shell: line, at: daemon)
        // A socket's buffer holds only a few single-byte writes, so read the output, or the process blocks.
        _ = try process.complaints()
        return try process.status()
    }
}
