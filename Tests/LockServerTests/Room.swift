import LockServer
import LockVocabulary
import Testing

/// The server in virtual time, with clients that have letters as names and numbers as process ids.
///
/// `play` runs a transcript. `a> ` precedes a line that a client sends, and `a< ` a line that it receives after that. All
/// clients read at once, and the transcript must show every line that they receive. `+ 5s` lets time pass; `a ends` ends
/// the input of a client, and `a dies` its process; `drain` drains the daemon.
final class Room {
    var server: Server
    private(set) var now = Instant.zero
    private var sessions: [Character: SessionID] = [:]

    init(_ change: (inout ServerConfiguration) -> Void = { _ in }) {
        var configuration = ServerConfiguration()
        configuration.program = "prwlockd/test"
        configuration.ownUserID = 500
        configuration.lastToken = Token(rawValue: 1_000_000)
        // Tests of the limits of one session, or of all sessions, must not run into those of a user.
        var allowance = Policy.Allowance()
        (allowance.sessions, allowance.grants, allowance.waiters) = (.max, .max, .max)
        configuration.policy.limits = [Policy.Limit(.everyone, allowance)]
        change(&configuration)
        server = Server(configuration)
    }

    // MARK: - Transcripts

    func play(_ transcript: String, sourceLocation: SourceLocation = #_sourceLocation) {
        var before = "the beginning"
        var expected: [Character: [String]] = [:]
        for line in transcript.split(separator: "\n") {
            if line.dropFirst().hasPrefix("< "), let letter = line.first {
                expected[letter, default: []].append(String(line.dropFirst(3)))
                continue
            }
            compare(expected, after: before, sourceLocation)
            expected = [:]
            before = String(line)
            act(line)
        }
        compare(expected, after: before, sourceLocation)
    }

    private func act(_ line: Substring) {
        let letter = line.first ?? "?"
        let rest = line.dropFirst(2)
        if line.dropFirst().hasPrefix("> ") {
            say(letter, String(line.dropFirst(3)) + "\n")
        } else if letter == "+" {
            let number = Int64(rest.prefix { $0.isNumber }) ?? 0
            pass(rest.hasSuffix("ms") ? .milliseconds(number) : .seconds(number))
        } else if line == "drain" {
            server.drain()
        } else if rest == "ends" {
            endOfInput(letter)
        } else if rest == "dies" {
            die(letter)
        } else {
            Issue.record("a transcript has no line such as \(line)")
        }
    }

    private func compare(
        _ expected: [Character: [String]], after line: String, _ sourceLocation: SourceLocation
    ) {
        for letter in Set(sessions.keys).union(expected.keys).sorted() {
            let heard = hear(letter)
            #expect(
                heard == expected[letter] ?? [], "\(letter), after \(line)", sourceLocation: sourceLocation)
        }
        #expect(throws: Never.self, sourceLocation: sourceLocation) { try server.checkInvariants() }
    }

    // MARK: - Clients

    /// Opens the session of a client: `a` has the process id 1, `b` 2 and so on.
    @discardableResult
    func open(_ letter: Character, userID: UInt32 = 1000) -> SessionID? {
        let processID = Int32(letter.asciiValue ?? 0) - 96
        let session = server.open(Peer(processID: processID, userID: userID, groupID: userID), at: now)
        sessions[letter] = session
        return session
    }

    func session(_ letter: Character) -> SessionID {
        guard let session = sessions[letter] else { fatalError("\(letter) has no session") }
        return session
    }

    func has(_ letter: Character) -> Bool { sessions[letter] != nil }

    /// Sends arbitrary bytes.
    func say(_ letter: Character, _ bytes: some Collection<UInt8>) {
        if sessions[letter] == nil { open(letter) }
        Array(bytes).withUnsafeBytes { server.receive($0, from: session(letter), at: now) }
    }

    func say(_ letter: Character, _ text: String) { say(letter, text.utf8) }

    /// Sends text, and returns the lines that the sender receives.
    @discardableResult
    func send(_ letter: Character, _ text: String) -> [String] {
        say(letter, text)
        return hear(letter)
    }

    /// Reads all lines that a client receives.
    @discardableResult
    func hear(_ letter: Character) -> [String] {
        guard sessions[letter] != nil else { return [] }
        var bytes: [UInt8] = []
        while true {
            let part = take(letter, .max)
            if part.isEmpty, !server.hasUnfinishedWork { break }
            bytes += part
            server.resumeWork(at: now)
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Reads some bytes of the output for a client.
    @discardableResult
    func take(_ letter: Character, _ most: Int) -> [UInt8] {
        let part = server.withOutput(of: session(letter)) { Array($0.prefix(most)) }
        server.wrote(part.count, to: session(letter), at: now)
        return part
    }

    /// The number of bytes that a client has to read.
    func owed(_ letter: Character) -> Int { server.withOutput(of: session(letter)) { $0.count } }

    func interest(in letter: Character) -> Server.Interest { server.interest(in: session(letter)) }

    func endOfInput(_ letter: Character) { server.endOfInput(session(letter), at: now) }

    func dieTogether(_ letters: Character...) {
        for letter in letters { server.beginEnd(session(letter), at: now) }
        for letter in letters { die(letter) }
    }

    func die(_ letter: Character) { server.died(session(letter), at: now) }

    func close(_ letter: Character) {
        server.close(session(letter), at: now)
        sessions[letter] = nil
    }

    // MARK: - Time

    /// Lets time pass without a call of `advance`.
    func passUnnoticed(_ duration: Duration) { now = now.advanced(by: duration) }

    func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let due = server.nextDeadline, due <= end {
            now = max(now, due)
            server.advance(to: now)
        }
        now = end
        server.advance(to: now)
    }

    /// The value of a row of `STATS`.
    func stat(_ name: String) -> Int? {
        if sessions["~"] == nil { open("~") }
        let row = send("~", "STATS\n").first { $0.hasPrefix("* \(name) ") }
        return row.flatMap { Int($0.split(separator: " ").last ?? "") }
    }
}
