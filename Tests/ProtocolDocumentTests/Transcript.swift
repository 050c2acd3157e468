import Testing

/// A conversation between sessions and a fresh daemon: a fenced block of a document, marked `transcript`.
///
///     A> WRITE jobs                       session A sends a line; its first step connects it
///     A< GRANTED jobs write token=<t1>    the next line that A receives
///     A< ...                              any lines, up to the line of A's next step
///     A< (closed)                         the daemon closes A's connection
///     A! ends                             A closes its connection
///     A! is killed                        A's process dies; its connection stays open elsewhere
///     A! end of input                     A closes its sending side
///     daemon! drains                      the daemon receives SIGTERM
///     daemon! has --grace=1s              before the first step: an option of the daemon
///
/// A session is one capital letter. A received line is compared with a `Pattern`; `\x07` in a sent line is one byte. A
/// line is sent only after the daemon has carried out the line before.
struct Transcript: Sendable {
    enum Step: Equatable, Sendable {
        case send(Character, String)
        case receive(Character, String)
        case skip(Character)
        case closed(Character)
        case end(Character)
        case kill(Character)
        case endInput(Character)
        case drain
    }

    /// The file and line of the first step.
    let place: String
    /// The steps, each with the place of its line.
    private(set) var steps: [(place: String, step: Step)] = []
    /// The daemon's options.
    private(set) var options: [String] = []

    /// The transcripts in a document.
    static func all(in document: String, named name: String) throws -> [Transcript] {
        var transcripts: [Transcript] = []
        var current: Transcript?
        for (index, line) in document.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.hasPrefix("```") {
                if let transcript = current { transcripts.append(transcript) }
                current = line == "```transcript" ? Transcript(place: "\(name):\(index + 2)") : nil
            } else if current != nil {
                let place = "\(name):\(index + 1)"
                if line.hasPrefix("daemon! has --"), current?.steps.isEmpty == true {
                    current?.options.append(String(line.dropFirst("daemon! has ".count)))
                    continue
                }
                current?.steps.append((place, try step(line, at: place)))
            }
        }
        guard current == nil else {
            throw MalformedTranscript(place: name, line: "a block that does not end")
        }
        return transcripts
    }

    private static func step(_ line: Substring, at place: String) throws -> Step {
        if line == "daemon! drains" { return .drain }
        let malformed = MalformedTranscript(place: place, line: String(line))
        guard let session = line.first, session.isUppercase, session.isASCII else { throw malformed }
        // Editors remove trailing spaces, so the space after the sign is optional.
        var rest = line.dropFirst(2)
        if rest.first == " " { rest = rest.dropFirst() }
        switch (line.dropFirst().first, rest) {
        case (">", _) where bytes(of: String(rest)) != nil: return .send(session, String(rest))
        case ("<", "..."): return .skip(session)
        case ("<", "(closed)"): return .closed(session)
        case ("<", _) where !rest.isEmpty: return .receive(session, String(rest))
        case ("!", "ends"): return .end(session)
        case ("!", "is killed"): return .kill(session)
        case ("!", "end of input"): return .endInput(session)
        default: throw malformed
        }
    }

    /// The bytes of a line to send; nil if a `\\` in it does not begin a byte.
    static func bytes(of text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            guard rest.popFirst() == UInt8(ascii: "x"),
                let spelled = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(spelled)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    /// The verbs of the transcript's requests, in capital letters.
    var verbs: [String] {
        steps.compactMap { _, step in
            guard case .send(_, let line) = step else { return nil }
            return line.split(separator: " ").first { !$0.hasPrefix("#") }?.uppercased()
        }
    }
}

extension Transcript: CustomTestStringConvertible {
    var testDescription: String { place }
}

struct MalformedTranscript: Error, Equatable, CustomStringConvertible {
    let place: String
    let line: String

    var description: String { "\(place): this is no step of a transcript: \(line)" }
}
