import Glibc
import Posix
import TestSupport

@testable import PRWLock

/// A daemon that follows a script, so that lines cross in the order that a test needs.
final class StagedDaemon: Sendable {
    var path: String { directory("s") }
    private let directory: TemporaryDirectory
    private let listener: OwnedDescriptor
    /// The first line that the script did not expect; nil when the script has ended.
    private let ending = Promise<String?>()

    /// Plays the scenes in order, one connection each, on a thread of its own.
    ///
    /// - Parameter greets: whether a scene begins after the answers to the client's first lines.
    init(greets: Bool = true, _ scenes: (@Sendable (inout Session) throws -> Void)...) throws {
        directory = try TemporaryDirectory()
        listener = try UnixSocket.listen(at: directory("s"), mode: 0o600)
        // `accept` blocks.
        _ = fcntl(listener.rawValue, F_SETFL, 0)
        try Thread.start { [self] in
            do {
                for scene in scenes {
                    let descriptor = accept(listener.rawValue, nil, nil)
                    guard descriptor >= 0 else { throw SystemError.last("accept") }
                    var session = Session(descriptor)
                    if greets {
                        try session.expect("PING", reply: "PONG")
                        try session.expect(
                            matching: "#1 HELLO client=",
                            reply: "#1 HELLO version=1 server=staged/1 session=1")
                    }
                    try scene(&session)
                }
                ending.fulfil(nil)
            } catch {
                // A client that connects again is refused at once.
                shutdown(listener.rawValue, Int32(SHUT_RDWR))
                ending.fulfil("\(error)")
            }
        }
    }

    /// Waits for the end of the last scene; returns the first deviation from the script, if there was one.
    func hasPlayed() async -> String? { await ending.value }

    /// One connection of the script.
    struct Session: ~Copyable {
        private let socket: OwnedDescriptor
        private var received: [UInt8] = []
        /// What was said, without the lines of `! RESUMED`.
        private var said = ""

        init(_ descriptor: Int32) { socket = OwnedDescriptor(owning: descriptor) }

        /// How many bytes were said up to the end of this line.
        func said(upTo line: String) -> Int {
            var size = 0
            for one in said.split(separator: "\n") {
                size += one.utf8.count + 1
                if one == line { break }
            }
            return size
        }

        mutating func say(_ line: String) {
            if !line.hasPrefix("! RESUMED") { said += line + "\n" }
            let bytes = Array((line + "\n").utf8)
            _ = send(socket.rawValue, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }

        mutating func expect(_ expected: String, reply: String? = nil) throws {
            let line = try next()
            guard line == expected else { throw Surprise(expected: expected, line: line) }
            if let reply { say(reply) }
        }

        mutating func expectEnd() throws {
            if let line = try? next() { throw Surprise(expected: "the end", line: line) }
        }

        /// Waits until the test fulfils the event.
        func wait(for event: Promise<Void>) { event.block() }

        mutating func expect(matching beginning: String, reply: String) throws {
            let line = try next()
            guard line.hasPrefix(beginning) else { throw Surprise(expected: beginning, line: line) }
            say(reply)
        }

        /// The next line from the client. Every owner is replaced by `t`, because its number depends on other tests.
        private mutating func next() throws -> String {
            while true {
                if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                    defer { received.removeFirst(end + 1) }
                    let words = received[..<end].split(separator: UInt8(ascii: " ")).map { word in
                        let word = String(decoding: word, as: UTF8.self)
                        return word.hasPrefix("owner=t") ? "owner=t" : word
                    }
                    return words.joined(separator: " ")
                }
                var chunk = [UInt8](repeating: 0, count: 4096)
                let count = read(socket.rawValue, &chunk, chunk.count)
                guard count > 0 else { throw Surprise(expected: "a line", line: "the end") }
                received += chunk.prefix(count)
            }
        }
    }

    struct Surprise: Error, CustomStringConvertible {
        let expected: String
        let line: String
        var description: String { "expected \(expected), got \(line)" }
    }
}

extension Promise<Void> {
    /// Blocks this thread until it is fulfilled.
    func block() {
        let (reading, writing) = pipe()
        var byte: UInt8 = 0
        _ = read(reading, &byte, 1)
        close(reading)
        close(writing)
    }

    /// A pipe that becomes readable when the promise is fulfilled.
    fileprivate func pipe() -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { fatalError("no pipe: \(errno)") }
        let (reading, writing) = (ends[0], ends[1])
        whenFulfilled { _ in _ = write(writing, "x", 1) }
        return (reading, writing)
    }
}
