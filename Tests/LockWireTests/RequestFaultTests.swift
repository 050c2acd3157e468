import LockVocabulary
import LockWire
import Seeded
import Testing

@Suite("Invalid lines")
struct RequestFaultTests {
    /// Invalid lines, each with its error code.
    static let faults: [(String, ErrorCode)] = [
        ("NONSENSE", .unknownVerb), ("READS a", .unknownVerb), ("REA", .unknownVerb), ("#1", .unknownVerb),
        ("wait=5s", .unknownVerb), ("= = =", .unknownVerb),
        ("PING\u{0}", .badByte), ("PI\tNG", .badByte), ("READ caf\u{E9}", .badByte),
        ("READ a note=\u{7F}", .badByte),
        ("\u{1}", .badByte), ("#\u{1} PING", .badByte), ("PING\r", .badByte),
        ("NONSENSE \u{1B}[2J", .badByte),
        ("# PING", .badTag), ("#a/b PING", .badTag), ("#\(String(repeating: "x", count: 33)) PING", .badTag),
        ("##1 PING", .badTag), ("CANCEL #", .badTag), ("CANCEL #a=b", .badTag),
        ("READ", .missingArgument), ("READ wait=5s", .missingArgument), ("RELEASE", .missingArgument),
        ("UPGRADE", .missingArgument), ("DOWNGRADE", .missingArgument), ("RENEW", .missingArgument),
        ("CANCEL", .missingArgument), ("VALIDATE", .missingArgument), ("VALIDATE a", .missingArgument),
        ("REVOKE a", .missingArgument), ("STATUS", .missingArgument),
        ("PING a", .unknownArgument), ("READ a b", .unknownArgument), ("READ a colour=red", .unknownArgument),
        ("READ a token=1", .unknownArgument), ("READ a WAIT=5s", .unknownArgument),
        ("READ a =5s", .unknownArgument),
        ("READ a wait=5s b", .unknownArgument), ("RELEASE a wait=5s", .unknownArgument),
        ("RELEASE a at=once", .badValue), ("RELEASE a at=now", .badValue), ("RELEASE a at=", .badValue),
        ("RELEASE a at=END", .badValue),
        ("RELEASE *", .missingArgument), ("RELEASE * at=end", .unknownArgument),
        ("RELEASE * token=1", .unknownArgument), ("RELEASE * owner=a at=end", .unknownArgument),
        ("RELEASE * owner=a owner=a", .repeatedArgument), ("RELEASE * owner=a/b", .badOwner),
        ("RELEASE ** owner=a", .badName), ("READ *", .badName), ("UPGRADE * owner=a", .badName),
        ("CANCEL #a owner=b", .unknownArgument), ("CANCEL a token=1", .unknownArgument),
        ("VALIDATE a token=1 b", .unknownArgument), ("STATUS a b", .unknownArgument),
        ("LIST a b", .unknownArgument),
        ("WATCH a b=c", .unknownArgument), ("HELLO world", .unknownArgument), ("QUIT now", .unknownArgument),
        ("STATS a", .unknownArgument), ("SESSIONS a", .unknownArgument), ("HELP me", .unknownArgument),
        ("READ a wait=1s wait=1s", .repeatedArgument), ("READ a owner=- owner=-", .repeatedArgument),
        ("VALIDATE a token=1 token=1", .repeatedArgument), ("HELLO recall=1 recall=0", .repeatedArgument),
        ("READ a!", .badName), ("READ %41", .badName), ("READ %2a", .badName), ("READ %2", .badName),
        ("READ \(String(repeating: "x", count: 256))", .badName), ("STATUS \"a\"", .badName),
        ("LIST a*", .badName), ("LIST %zz", .badName), ("LIST %41", .badName), ("WATCH %%%", .badName),
        ("WATCH a%2", .badName), ("LIST %", .badName),
        ("LIST \(String(repeating: "x", count: 256))", .badName),
        ("WATCH *", .badName), ("LIST after=", .badName), ("RELEASE #1", .badName),
        ("READ a wait=", .badDuration), ("READ a wait=5", .badDuration), ("READ a wait=00", .badDuration),
        ("READ a wait=-1s", .badDuration), ("READ a wait=+1s", .badDuration),
        ("READ a wait=1.5s", .badDuration),
        ("READ a wait=05s", .badDuration), ("READ a wait=00ms", .badDuration),
        ("READ a wait=1S", .badDuration), ("READ a wait=s", .badDuration), ("READ a wait=1d", .badDuration),
        ("READ a wait=Forever", .badDuration), ("READ a wait=876001h", .badDuration),
        ("READ a wait=3153600000001ms", .badDuration), ("READ a wait=18446744073709551615s", .badDuration),
        ("READ a wait=18446744073709551616ms", .badDuration),
        ("READ a wait=99999999999999999999999h", .badDuration),
        ("READ a lease=0", .badDuration), ("READ a lease=0ms", .badDuration),
        ("RENEW a lease=0s", .badDuration),
        ("UPGRADE a wait=soon", .badDuration),
        ("RELEASE a token=", .badToken), ("RELEASE a token=0", .badToken), ("RELEASE a token=-1", .badToken),
        ("RELEASE a token=01", .badToken), ("VALIDATE a token=00", .badToken), ("LIST limit=01", .badNumber),
        ("RELEASE a token=0x10", .badToken), ("VALIDATE a token=18446744073709551616", .badToken),
        ("REVOKE a token=99999999999999999999999999", .badToken), ("RENEW a token=1e3", .badToken),
        ("READ a owner=", .badOwner), ("READ a owner=a/b", .badOwner), ("CANCEL a owner=a:b", .badOwner),
        ("RELEASE a owner=\(String(repeating: "x", count: 33))", .badOwner),
        ("READ a note=", .badNote), ("READ a note=a=b", .badNote), ("READ a note=%41", .badNote),
        ("READ a note=\(String(repeating: "x", count: 256))", .badNote), ("HELLO client=", .badNote),
        ("LIST limit=0", .badNumber), ("LIST limit=", .badNumber), ("LIST limit=-1", .badNumber),
        ("LIST limit=9223372036854775808", .badNumber), ("LIST limit=18446744073709551616", .badNumber),
        ("HELLO recall=2", .badNumber), ("HELLO recall=", .badNumber), ("HELLO recall=01", .badNumber),
        ("DOWNGRADE a to=write", .badMode), ("DOWNGRADE a to=", .badMode), ("DOWNGRADE a to=READ", .badMode),
    ]

    @Test("Each fault has its code, and the tag if the tag is valid", arguments: faults)
    func fault(line: String, code: ErrorCode) throws {
        guard case .fault(_, let error) = parse(line) else { throw Unexpected(description: "\(parse(line))") }
        #expect(error.code == code)
        guard !line.hasPrefix("#") else { return }
        #expect(parse("#t-1 " + line) == .fault(try tag("t-1"), error))
    }

    @Test("Every error code of a line has an example here")
    func complete() {
        let elsewhere: Set<ErrorCode> = [
            .tagInUse, .lineTooLong, .notHeld, .notWaiting, .ambiguous, .wrongMode, .noToken, .noMemory,
            .clusterUnavailable,
            .draining, .limitSessions, .limitGrants, .limitWaiters, .limitLocks, .limitWaits, .limitBuffers,
            .limitWatchers, .unlisted,
        ]
        #expect(Set(Self.faults.map(\.1)) == Set(ErrorCode.allCases).subtracting(elsewhere))
    }

    @Test("The text of an error states what was expected, and repeats nothing that was sent")
    func texts() throws {
        for line in ["READ secret wait=secret", "WATCH secret x", "secret", "READ secret secret=secret"] {
            guard case .fault(_, let error) = parse(line) else { throw Unexpected(description: line) }
            #expect(!error.text.contains("secret"))
            #expect(!error.text.isEmpty)
        }
        guard case .fault(_, let error) = parse("UPGRADE") else { throw Unexpected(description: "UPGRADE") }
        #expect(error.text == "expected UPGRADE name [wait=5s] [token=n] [owner=word]")
    }

    @Test("Every explanation is one printable line")
    func explanations() {
        for code in ErrorCode.allCases {
            #expect(code.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) })
            #expect(code.explanation.utf8.count < 200)
            #expect(!code.explanation.hasPrefix("lock="))
        }
    }

    @Test(
        "Random bytes are a fault, or a request that can be encoded again",
        arguments: SeededGenerator.newSeeds)
    func junk(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let pieces = [
            "READ", "write", "RELEASE", "LIST", "HELLO", "CANCEL", "#1", "#", " ", "  ", "jobs", "a%20", "%",
            "=", "wait=",
            "5s", "forever", "token=", "18446744073709551615", "owner=", "note=", "-", "limit=", "recall=1",
            "\u{0}", "\u{FF}",
            "0", "9999999999999999999999",
        ]
        for _ in 0..<20_000 {
            var line: [UInt8] = []
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                if Bool.random(using: &generator) {
                    line += Array((pieces.randomElement(using: &generator) ?? "").utf8)
                } else if Bool.random(using: &generator) {
                    line.append(UInt8(ascii: " "))
                } else {
                    line.append(UInt8.random(in: 0...255, using: &generator))
                }
            }
            switch line.withUnsafeBytes({ Request.parse($0) }) {
            case .request(let request):
                let again = try LockWireTests.request(text(request.encode))
                #expect(again == request, "seed \(seed), \(line)")
            case .fault(_, let error):
                #expect(error.code != .unlisted, "seed \(seed), \(line)")
            }
            _ = line.withUnsafeBytes { ServerLine.parse($0) }
        }
    }
}
