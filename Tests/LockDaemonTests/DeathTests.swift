import Glibc
import Posix
import TestSupport
import Testing

/// What happens to locks when those who hold or want them die (G6), on kernels with `SO_PEERPIDFD` and without.
@Suite struct DeathTests {
    static let kernels = [[:], ["PRWLOCK_TEST_NO_PEERPIDFD": "1"]]

    @Test(
        "a holder that is killed frees its lock at once, and the next writer hears of it (G6, G11)",
        arguments: kernels)
    func killedHolder(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let waiter = try daemon.connect()
        for round in 1...20 {
            let holder = try PeerProcess(of: daemon)
            #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=\(3 * round - 2)")
            holder.session.close()
            try waiter.send("#\(round) WRITE jobs")
            #expect(
                try waiter.ask("STATUS jobs")?.hasPrefix("* holder pid=\(holder.processID) mode=write")
                    == true)
            #expect(try waiter.lines(through: "OK").count == 2)
            holder.kill()
            #expect(
                try waiter.nextLine() == "#\(round) GRANTED jobs write token=\(3 * round - 1) ownerdied=1")
            #expect(try waiter.ask("RELEASE jobs") == "RELEASED jobs token=\(3 * round - 1)")
            #expect(try waiter.ask("WRITE jobs") == "GRANTED jobs write token=\(3 * round)")
            #expect(try waiter.ask("RELEASE jobs") == "RELEASED jobs token=\(3 * round)")
        }
    }

    @Test("a holder's death counts though a child of its keeps the socket open (G6)", arguments: kernels)
    func childKeepsSocket(kernel: [String: String]) throws {
        let daemon = try DaemonProcess(environment: kernel)
        let holder = try PeerProcess(of: daemon)
        #expect(try holder.session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        #expect(holder.forkChild() > 0)
        let waiter = try daemon.connect()
        try waiter.send("READ jobs")
        holder.kill()
        #expect(try waiter.nextLine() == "GRANTED jobs read token=2 ownerdied=1")
        // The daemon has closed its end, whoever has the other.
        #expect(try holder.session.nextLine() == nil)
    }
}
