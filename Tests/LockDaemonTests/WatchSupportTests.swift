import Glibc
import TestSupport
import Testing

/// A daemon to which the kernel or a sandbox refuses descriptors of processes.
@Suite struct WatchSupportTests {
    /// The refusals of a container's profile, and of a kernel or sandbox that does not know the calls; as root and as another user.
    static let sandboxes: [Sandbox] = {
        let errors = [EPERM, ENOSYS]
        let users: [UInt32?] = geteuid() == 0 ? [nil, 65_534] : [nil]
        return users.flatMap { user in
            errors.map { Sandbox(.processDescriptors, error: $0, user: user) }
        }
    }()

    @Test(
        "where processes cannot be watched, a session ends with its socket; journal and STATS say so once (G6)",
        arguments: sandboxes)
    func socketAlone(sandbox: Sandbox) throws {
        let daemon = try DaemonProcess("--socket-mode", "0666", sandbox: sandbox)
        let waiter = try daemon.connect()
        for round in 1...5 {
            let holder = try PeerProcess(of: daemon)
            #expect(
                try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=\(2 * round - 1)")
            holder.session.close()
            try waiter.send("WRITE jobs")
            holder.kill()
            #expect(try waiter.nextLine()?.hasPrefix("GRANTED jobs write token=\(2 * round)") == true)
            #expect(try waiter.ask("RELEASE jobs") == "RELEASED jobs token=\(2 * round)")
        }
        try waiter.send("STATS")
        #expect(try waiter.lines(through: "END").contains("* process-watches 0"))
        #expect(daemon.log.split(separator: "\n").count { $0.contains("processes cannot be watched") } == 1)
    }

    @Test("where processes cannot be watched, a child that keeps the socket keeps the lock, until it ends")
    func childKeepsSocket() throws {
        let daemon = try DaemonProcess(sandbox: Sandbox(.processDescriptors, error: EPERM))
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        let child = holder.forkChild()
        #expect(child > 0)
        holder.session.close()
        let waiter = try daemon.connect()
        holder.kill()
        #expect(try waiter.ask("WRITE jobs wait=0")?.hasPrefix("BUSY") == true)
        kill(child, SIGKILL)
        #expect(try waiter.ask("WRITE jobs wait=10s")?.hasPrefix("GRANTED jobs write token=2") == true)
    }

    @Test(
        "where only `pidfd_open` is refused, the socket itself tells its process, on Linux 6.5 and later (G6)"
    )
    func socketTells() throws {
        let daemon = try DaemonProcess(sandbox: Sandbox(.pidfdOpen, error: EPERM))
        let waiter = try daemon.connect()
        try waiter.send("STATS")
        guard try waiter.lines(through: "END").contains("* process-watches 1") else { return }
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(holder.forkChild() > 0)
        holder.kill()
        #expect(try waiter.ask("WRITE jobs wait=10s") == "GRANTED jobs write token=2 ownerdied=1")
        #expect(!daemon.log.contains("processes cannot be watched"))
    }
}
