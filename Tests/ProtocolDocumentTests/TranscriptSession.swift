import TestSupport

/// One session of a transcript: a process, its connection, and the received lines that no step has consumed yet.
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
        // The daemon carries out no line after QUIT.
        if String(decoding: line, as: UTF8.self).uppercased().hasSuffix("QUIT") { isSending = false }
        try settle()
    }

    /// Waits until the daemon has carried out all sent lines.
    ///
    /// It sends `PING` and waits for the answer: the daemon carries lines out in order, and a waiting request does not
    /// delay later lines.
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

    /// The received lines that no step has consumed.
    func leftOver() throws -> [String] {
        try settle()
        return Array(lines)
    }

    /// Closes the connection in both processes that have it open.
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
