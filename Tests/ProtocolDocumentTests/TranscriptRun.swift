import Glibc
import LockWire
import TestSupport

/// A run of a transcript against a fresh daemon.
struct TranscriptRun {
    private let transcript: Transcript
    private let daemon: DaemonProcess
    private var sessions: [Character: TranscriptSession] = [:]
    /// The process ids of all sessions, also of those that have ended.
    private var processes: [Character: Int32] = [:]
    private var bindings: Pattern.Bindings = [:]
    /// The session for which lines are skipped until one matches its next expected line.
    private var skipping: Character?

    /// Runs a transcript, up to the first step that does not match.
    static func run(_ transcript: Transcript) throws {
        var run = TranscriptRun(
            transcript: transcript, daemon: try DaemonProcess(arguments: transcript.options))
        for (place, step) in transcript.steps { try run.carryOut(step, place) }
        for (name, session) in run.sessions {
            let lines = try session.leftOver()
            guard lines.isEmpty else {
                throw Mismatch(
                    place: transcript.place, expected: "nothing more for \(name)", received: "\(lines)")
            }
        }
    }

    private init(transcript: Transcript, daemon: DaemonProcess) {
        self.transcript = transcript
        self.daemon = daemon
    }

    private mutating func carryOut(_ step: Transcript.Step, _ place: String) throws {
        switch step {
        case .send(let name, let line):
            try session(name).send(Transcript.bytes(of: Pattern.fill(line, bindings)) ?? [])
        case .receive(let name, let expected): try receive(name, expected, place)
        case .skip(let name): skipping = name
        case .closed(let name):
            if let received = try next(name, expected: "the end", place) {
                throw Mismatch(place: place, expected: "the end", received: received)
            }
        case .end(let name):
            try session(name).end()
            sessions[name] = nil
        case .kill(let name):
            // Keep the session, because its connection must stay open.
            try session(name).kill()
        case .endInput(let name): try session(name).endInput()
        case .drain: daemon.signal(SIGTERM)
        }
    }

    private mutating func receive(_ name: Character, _ expected: String, _ place: String) throws {
        let pattern = Pattern(expected)
        let maySkip = skipping == name
        skipping = nil
        while true {
            let received = try next(name, expected: Pattern.fill(expected, bindings), place)
            if let received, pattern.matches(received, &bindings, processes: processes) {
                return
            }
            guard maySkip, received != nil else {
                throw Mismatch(
                    place: place, expected: Pattern.fill(expected, bindings),
                    received: received ?? "the end")
            }
        }
    }

    private mutating func next(_ name: Character, expected: String, _ place: String) throws -> String? {
        do {
            guard let line = try session(name).nextLine() else { return nil }
            guard Array(line.utf8).withUnsafeBytes({ ServerLine.parse($0) }) != nil else {
                throw Mismatch(place: place, expected: "a line that LockWire understands", received: line)
            }
            return line
        } catch is RawSession.TimedOut {
            throw Mismatch(place: place, expected: expected, received: "nothing")
        }
    }

    private mutating func session(_ name: Character) throws -> TranscriptSession {
        if let session = sessions[name] { return session }
        let session = try TranscriptSession(of: daemon)
        sessions[name] = session
        processes[name] = session.processID
        return session
    }
}

/// A difference between the daemon's behaviour and the document.
struct Mismatch: Error, CustomStringConvertible {
    let place: String
    let expected: String
    let received: String

    var description: String { "\(place): expected \(expected), received \(received)" }
}
