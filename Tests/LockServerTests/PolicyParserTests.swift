import LockServer
import Testing

@Suite("A rule file is read whole, or refused with the place of its fault") struct PolicyParserTests {
    private static var names: PolicyNames {
        PolicyNames(
            facts: [.groups], user: { $0 == "alice" ? 1_000 : nil }, group: { $0 == "backup" ? 34 : nil })
    }

    @Test(
        "each fault has its line and column",
        arguments: [
            ("permit everyone read *", "1:1: a line begins with allow"),
            ("\n  allow", "2:8: the subject"),
            ("allow everyone", "1:15: what is allowed or denied is missing"),
            ("allow everyone read", "1:20: a prefix of names"),
            ("allow everyone read * more", "1:23: the line was complete"),
            ("allow somebody read *", "1:7: `somebody` is not the subject"),
            ("allow host=a read *", "1:7: the subject"),
            ("allow user=alice,carol read *", "1:18: there is no user `carol`"),
            ("allow user=alice, read *", "1:18: a word is missing here"),
            ("allow group=carol read *", "1:13: there is no group `carol`"),
            ("allow unit=a.service read *", "1:7: the kernel cannot tell a peer's unit"),
            ("allow exe=/bin/sh read *", "1:7: the daemon is not let see"),
            ("allow exe=a,/b,c read *", "1:7: the daemon is not let see"),
            ("deny exe=/bin/sh read *", "1:6: to deny a program keeps no user out"),
            ("allow everyone read,fly *", "1:21: `fly` is not a right"),
            ("allow everyone read db/*", "1:21: `db/*` is not the beginning of a name; a prefix"),
            ("allow everyone read \u{202E}x", "1:21: `?x` is not"),
            ("limit everyone", "1:15: what is limited, as sessions=100 is missing"),
            ("limit everyone sessions", "1:16: `sessions` is not what is limited"),
            ("limit everyone colour=3", "1:16: what is limited is sessions"),
            ("limit everyone grants=x", "1:23: `x` is not a number from 0"),
            ("limit everyone requests=0", "1:25: `0` is not a number from 1"),
            ("limit everyone grants=1 grants=2", "1:25: grants is said twice"),
            ("order a", "1:8: < and the names"),
            ("order a b warn", "1:9: < is expected here"),
            ("order a < b", "1:12: warn or refuse is missing"),
            ("order a < b perhaps", "1:13: warn or refuse is expected"),
            ("order a < * warn", "1:11: all names cannot"),
            ("order a < b < a warn", "1:15: a would come before itself"),
            ("order a < b warn\norder c < a warn\norder b < c warn", "3:11: c would come before itself"),
            ("order \(String(repeating: "a", count: 256)) < b warn", "1:7: a name has 255 bytes"),
        ])
    func fault(text: String, message: String) {
        do throws(PolicyFault) {
            _ = try Policy(parsing: text, Self.names)
            Issue.record("no fault is found in \(text)")
        } catch {
            #expect(error.description.hasPrefix(message), "\(error)")
        }
    }

    @Test("the first of several faults is told") func firstFault() {
        let names = PolicyNames(user: { _ in nil }, group: { _ in nil })
        #expect(throws: PolicyFault(line: 1, column: 18, reason: "`a` is not an absolute path")) {
            try Policy(parsing: "allow exe=/bin/b,a,c read *", names)
        }
    }

    @Test("comments, blanks and empty lines mean nothing") func blanks() throws {
        let spare = try Policy(
            parsing: "# all\r\n\n\tallow  everyone\tread,look   a/ # why\r\n   \nlimit everyone sessions=3",
            Self.names)
        let dense = try Policy(
            parsing: "allow everyone look,read a/\nlimit everyone sessions=3", Self.names)
        #expect(spare == dense)
        #expect(try Policy(parsing: "", Self.names) == Policy())
    }

    @Test("users and groups may be numbers, and need no entry in a database") func numbers() throws {
        #expect(
            try Policy(parsing: "deny user=1000 all *", Self.names)
                == Policy(parsing: "deny user=alice read,write,look,notes,watch,revoke *", Self.names))
        _ = try Policy(parsing: "deny user=77777 all *\nallow group=88888,backup all *", Self.names)
    }

    @Test("no more than 64 classes are in order") func manyClasses() throws {
        let chain = (0..<64).map { "c\($0)/" }.joined(separator: " < ")
        _ = try Policy(parsing: "order \(chain) warn", Self.names)
        #expect(throws: PolicyFault.self) { try Policy(parsing: "order \(chain) < d/ warn", Self.names) }
    }
}
