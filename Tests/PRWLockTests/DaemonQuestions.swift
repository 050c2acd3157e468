import TestSupport
import Testing

/// What tests of cached grants ask a daemon.
extension DaemonProcess {
    /// How many lines the daemon has carried out, with the one of this method.
    func lines() throws -> Int {
        let session = try connect()
        try session.send("STATS")
        let row = try session.lines(through: "END").first { $0.hasPrefix("* total-lines ") }
        return try #require(row?.split(separator: " ").last.flatMap { Int($0) })
    }

    /// How many sessions with a name there are.
    func sessions(named name: String) throws -> Int {
        let session = try connect()
        try session.send("SESSIONS")
        return try session.lines(through: "END").filter { $0.contains(" client=\(name) ") }.count
    }

    /// Revokes the grant of the only holder of a lock.
    func revokeHolder(of name: String) throws {
        let session = try connect()
        try session.send("STATUS \(name)")
        let holder = try session.lines(through: "END").first { $0.hasPrefix("* holder ") }
        let token = try #require(holder?.split(separator: " ").first { $0.hasPrefix("token=") })
        #expect(try session.ask("REVOKE \(name) \(token)")?.hasPrefix("REVOKED") == true)
    }

    /// Returns once so many requests wait for a lock, without giving up the thread.
    func waitsNow(for name: String, count: Int) throws {
        let session = try connect()
        while true {
            try session.send("STATUS \(name)")
            if try session.lines(through: "END").filter({ $0.hasPrefix("* waiter") }).count == count {
                return
            }
        }
    }
}
