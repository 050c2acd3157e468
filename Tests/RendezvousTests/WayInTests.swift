import Rendezvous
import Testing

@Suite("Words for a process that may not connect")
struct WayInTests {
    @Test("a service is told of its unit's setting, for it cannot log in")
    func service() {
        let words = RendezvousError.wayIn(for: "web.service")
        #expect(words.contains("SupplementaryGroups=prwlock in web.service"))
        #expect(!words.contains("log in"))
    }

    @Test("a user is told of the group", arguments: [nil, "session-3.scope", "user@1000.service"])
    func user(unit: String?) {
        #expect(RendezvousError.wayIn(for: unit).contains("adduser USER prwlock"))
    }
}
