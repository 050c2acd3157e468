import LockVocabulary
import LockWire
import Testing
import WireExamples

@Suite("Requests")
struct RequestTests {
    @Test("A request for a lock accepts every option in any order, and has defaults for all")
    func acquire() throws {
        let bare = Acquire(name: try name("jobs"), mode: .read)
        #expect(bare.wait == .forever)
        #expect(bare.lease == .forever)
        #expect(bare.owner == .session)
        #expect(bare.note == .none)
        #expect(try request("READ jobs") == Request(verb: .acquire(bare)))
        let full = Acquire(
            name: try name("jobs"), mode: .write, wait: .upTo(.seconds(5)), lease: .upTo(.seconds(30)),
            owner: try owner("t1"), note: try note("nightly-backup"))
        let expected = Request(tag: try tag("7"), verb: .acquire(full))
        #expect(try request("#7 WRITE jobs wait=5s lease=30s owner=t1 note=nightly-backup") == expected)
        #expect(try request("#7 WRITE jobs note=nightly-backup owner=t1 lease=30s wait=5s") == expected)
    }

    @Test("Each example is parsed, and encoded again from its value")
    func roundTrips() throws {
        for example in Examples.requests {
            for tag in [nil, try tag("x")] {
                let line = (tag.map { "\($0) " } ?? "") + example.line
                #expect(try request(line) == Request(tag: tag, verb: example.value))
                #expect(try text(Request(tag: tag, verb: example.value).encode) == line)
            }
        }
    }

    @Test("A line means the same with a tag and without, however it is spelled")
    func plainLines() throws {
        let verbs = [
            "READ", "WRITE", "RELEASE", "UPDATE", "write", "Release", "rEAD", "WRITES", "REA", "WRI\u{14}E",
        ]
        let rests = [
            "", " ", " a", " ab", " abc", "  a", " jobs", " jobs1 ", " a b", " jobs wait=0", " *", " =",
            " a=b", " a%20b", " a%41",
            " #t", " " + String(repeating: "n", count: 255), " " + String(repeating: "n", count: 256),
            "\ta", " \u{7f}", " a owner=t1", "Xjobs", "0jobs",
            " a wait=1s", " a lease=1s", " a wait=1s lease=250ms", " a lease=30s wait=5s", " a wait=0 ",
            " a  wait=0",
            " a wait=1s  lease=1s", " a wait=forever lease=forever", " a lease=0", " a wait=",
            " a lease= wait=1s",
            " a wait=1s wait=1s", " a wait=1s lease=1s lease=1s", " a wait=1s note=n", " a wait",
            " a wait=01s",
            " a Wait=1s", " a wait=1s lease=1s\u{7f}", " wait=1s", " lease=1s", " a%41 wait=0",
            " a wait=1slease=1s",
        ]
        for line in verbs.flatMap({ verb in rests.map { verb + $0 } }) {
            switch (parse(line), parse("#t \(line)")) {
            case (.request(let plain), .request(let tagged)):
                #expect(plain.verb == tagged.verb && plain.tag == nil, "\(line)")
            case (.fault(nil, let plain), .fault(.some, let tagged)): #expect(plain == tagged, "\(line)")
            case (let plain, let tagged): Issue.record("\(line) is \(plain), and with a tag \(tagged)")
            }
        }
    }

    @Test("The form of each request names the options of its examples, and no others")
    func forms() {
        func keys(_ line: Substring) -> Set<Substring> {
            Set(
                line.split { " [],".contains($0) }.compactMap {
                    $0.contains("=") ? $0.prefix { $0 != "=" } : nil
                })
        }
        for form in Request.forms {
            let verb = form.prefix { $0 != " " }
            let examples = Examples.requests.map(\.line).filter { $0.prefix { $0 != " " } == verb }
            #expect(Set(examples.flatMap { keys($0[...]) }) == keys(form[...]), "\(verb)")
        }
    }

    @Test("An option may state its default")
    func spelledDefaults() throws {
        #expect(try request("READ a wait=forever lease=forever owner=- note=-") == request("READ a"))
        #expect(try request("DOWNGRADE a") == request("DOWNGRADE a to=read"))
    }

    @Test("Verbs match in any case, names do not; words may have many spaces between them")
    func casesAndSpaces() throws {
        #expect(try request("ReAd jobs") == request("READ jobs"))
        #expect(try request("downgrade Jobs") != request("DOWNGRADE jobs"))
        #expect(try request("  #1   read   jobs   wait=1s  ") == request("#1 READ jobs wait=1s"))
        // These bytes differ from a letter only in the bit for its case, and are not letters.
        #expect(parse("\u{12}EAD jobs") == .fault(nil, WireError(.badByte)))
        #expect(parse("rE@D jobs") == .fault(nil, WireError(.unknownVerb)))
    }

    @Test("The longest value of every field is accepted")
    func longest() throws {
        let long = String(repeating: "x", count: 255)
        let word = String(repeating: "w", count: 32)
        let time = "3153600000000ms"
        let line = "#\(word) WRITE \(long) wait=\(time) lease=\(time) owner=\(word) note=\(long) cache=0"
        #expect((line + "\r\n").utf8.count == Request.longestLine)
        let request = try request(line)
        #expect(try LockWireTests.request(text(request.encode)) == request)
        guard case .acquire(let acquire) = request.verb else { throw Unexpected(description: line) }
        #expect(acquire.name.text == long)
        #expect(acquire.note.text == long)
        #expect(acquire.wait == .upTo(.seconds(876_000 * 3600)))
    }

    @Test("The longest form of a request fits into the longest line")
    func longestForms() {
        let long = String(repeating: "x", count: 255)
        let word = String(repeating: "w", count: 32)
        let token = " token=\(UInt64.max)"
        let lines = [
            "RELEASE \(long) owner=\(word) at=end\(token)",
            "UPGRADE \(long) wait=3153600000000ms owner=\(word)\(token)",
            "DOWNGRADE \(long) to=update owner=\(word)\(token)",
            "RENEW \(long) lease=3153600000000ms owner=\(word)\(token)",
            "LIST \(long) after=\(long) limit=\(Int.max)", "HELLO client=\(long) recall=1 cache=1",
        ]
        for line in lines.map({ "#\(word) \($0)\r\n" }) {
            #expect(line.utf8.count <= Request.longestLine)
            if case .fault = parse(String(line.dropLast(1))) { Issue.record("\(line)") }
        }
    }

    @Test("The tag of a line that is too long is read if the kept beginning has all of it")
    func tagOfBeginning() throws {
        func tag(_ text: String) -> String? {
            Array(text.utf8).withUnsafeBytes { Request.tag(ofBeginning: $0)?.text }
        }
        #expect(tag("#17 READ xxxxxxx") == "17")
        #expect(tag("   #a.b   \u{1}") == "a.b")
        #expect(tag("#17 ") == "17")
        #expect(tag("#17") == nil)
        #expect(tag("READ #17 x") == nil)
        #expect(tag("#a/b READ x") == nil)
        #expect(tag("     ") == nil)
        #expect(tag("# READ x") == nil)
    }

    @Test(
        "Durations are parsed to the millisecond",
        arguments: [
            ("0", 0), ("0ms", 0), ("0h", 0), ("1ms", 1), ("250ms", 250), ("5s", 5000),
            ("2m", 120_000),
            ("1h", 3_600_000), ("876000h", 3_153_600_000_000), ("3153600000000ms", 3_153_600_000_000),
        ])
    func durations(spelling: String, milliseconds: Int) throws {
        guard case .acquire(let acquire) = try request("READ a wait=\(spelling)").verb else { return }
        #expect(acquire.wait == .upTo(.milliseconds(milliseconds)))
    }

    @Test("A duration that the protocol cannot express is rounded up, so nothing ends too early")
    func rounding() throws {
        func spelled(_ wait: Duration) throws -> String {
            let acquire = Acquire(name: try name("a"), mode: .read, wait: .upTo(wait))
            return String(try text(Request(verb: .acquire(acquire)).encode).dropFirst("READ a wait=".count))
        }
        #expect(try spelled(.nanoseconds(1)) == "1ms")
        #expect(try spelled(.microseconds(1500)) == "2ms")
        #expect(try spelled(.seconds(-1)) == "0")
        #expect(try spelled(.seconds(Int64.max)) == "3153600000s")
    }
}
