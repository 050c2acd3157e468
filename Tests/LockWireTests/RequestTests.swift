import LockVocabulary
import LockWire
import Testing

/// Parses a line of text.
func parse(_ line: String) -> Request.Parsed {
    Array(line.utf8).withUnsafeBytes { Request.parse($0) }
}

@Suite("Requests")
struct RequestTests {
    @Test(
        "A request is understood",
        arguments: [
            "PING", "QUIT", "HELP", "STATS", "SESSIONS", "HELLO", "HELLO client=backup recall=1",
            "READ jobs", "WRITE jobs wait=5s lease=30s owner=t1 note=nightly", "#a UPDATE jobs wait=0",
            "RELEASE jobs token=42", "UPGRADE jobs owner=t1 wait=1s", "DOWNGRADE jobs to=update",
            "RENEW jobs", "RENEW jobs lease=forever", "CANCEL jobs", "CANCEL #a", "VALIDATE jobs token=1",
            "REVOKE jobs token=18446744073709551615", "STATUS jobs", "LIST", "LIST a after=b limit=3",
            "WATCH",
            "WATCH %2",
        ])
    func understood(line: String) throws {
        guard case .request(let request) = parse(line) else {
            Issue.record("\(parse(line))")
            return
        }
        var bytes: [UInt8] = []
        request.encode(into: &bytes)
        #expect(bytes.last == UInt8(ascii: "\n"))
        let again = bytes.dropLast().withUnsafeBytes { Request.parse($0) }
        #expect(again == .request(request))
    }
}
