import TestSupport

/// One session of a transcript: a process with its connection, and the lines that came and were not asked for yet.
final class TranscriptSession {
    private let peer: PeerProcess
    private var lines: ArraySlice<String> = []
    private var isSending = true
    private var markCount = 0

    init(of daemon: DaemonProcess) throws { peer = try PeerProcess(of: daemon) }

    var processID: Int32 { peer.processID }

    /// Sends a line, and waits until the daemon has carried it out.
    func send(_ line: [UInt8]) throws {
        try peer.session.send(bytes: line + [UInt8(ascii: "\n")])
        // What follows a QUIT is not carried out.
        if String(decoding: line, as: UTF8.self).uppercased().hasSuffix("QUIT") { isSending = false }
        try settle()
    }

    /// Waits until everything that was sent has been carried out.
    ///
    /// That is known by a `PING` behind it: lines are carried out in their order, and whatever waits holds up nothing.
    private func settle() throws {
        guard isSending else { return }
        markCount += 1
        let mark = "#settle-\(markCount)"
        do { try peer.session.send("\(mark) PING") } catch { isSending = false }
        while isSending {
            guard let line = try peer.session.nextLine() else {
                isSending = false
                break
            }
            if line == "\(mark) PONG" { break }
            lines.append(line)
        }
    }

    /// The next line; nil at the end of the connection.
    func nextLine() throws -> String? { try lines.popFirst() ?? peer.session.nextLine() }

    /// What came and was not asked for.
    func leftOver() throws -> [String] {
        try settle()
        return Array(lines)
    }

    /// Closes the connection, wherever it is open.
    func end() {
        peer.closeConnection()
        peer.session.close()
    }

    func endInput() {
        peer.session.endInput()
        isSending = false
    }

    /// Kills the process that connected, and keeps the connection open.
    func kill() {
        peer.kill()
        isSending = false
    }
}
