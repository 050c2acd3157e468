import Rendezvous
import Testing

@Suite("The advice for a process that may not connect")
struct WayInTests {
    @Test("the advice for a service is its unit's setting, because a service cannot log in")
    func service() {
        let words = RendezvousError.wayIn(for: "web.service")
        #expect(words.contains("SupplementaryGroups=prwlock in web.service"))
        #expect(!words.contains("log in"))
    }

    @Test("the advice for a user is the group", arguments: [nil, "session-3.scope", "user@1000.service"])
    func user(unit: String?) {
        #expect(RendezvousError.wayIn(for: unit).contains("adduser USER prwlock"))
    }
}
