import Foundation
import Systemd
import Testing

@Suite("What the journal is told")
struct JournalEntryTests {
    @Test("an entry as text shows its level, its message and its fields")
    func text() {
        let entry = JournalEntry(
            .warning, "session 7 died holding jobs", event: .diedHolding,
            fields: [.lock("jobs"), .session("7"), .clientProcess(811)])
        #expect(
            "\(entry)" == "warning: session 7 died holding jobs (LOCK=jobs SESSION=7 CLIENT_PID=811)")
        #expect("\(JournalEntry(.info, "reloaded"))" == "info: reloaded")
    }

    @Test("every kind of event has an identifier of its own, of 128 bits")
    func messageIDs() {
        let identifiers = Set(JournalEntry.Event.allCases.map { "\($0.messageID)" })
        #expect(identifiers.count == JournalEntry.Event.allCases.count)
        for identifier in identifiers {
            #expect(identifier.utf8.count == 32)
            #expect(identifier.allSatisfy { $0.isHexDigit && !$0.isUppercase })
        }
    }

    @Test("levels have names and order, and no other word is one")
    func levels() {
        for level in LogLevel.allCases { #expect(LogLevel("\(level)") == level) }
        #expect(LogLevel("loud") == nil)
        #expect(LogLevel.error < LogLevel.debug)
    }
}

@Suite("Without a service manager")
struct UnmanagedTests {
    @Test("no socket is inherited, no watchdog runs, and messages do no harm")
    func nothing() throws {
        #expect(try InheritedSockets.take().isEmpty)
        #expect(Watchdog() == nil)
        let readiness = Readiness()
        #expect(!readiness.isHeard)
        readiness.ready(status: "0 sessions, 0 locks")
        readiness.reloading()
        readiness.stopping(status: "leaving")
        #expect(!readiness.hasUntoldChange)
    }
}

@Suite("The journal's catalog")
struct CatalogTests {
    @Test("every kind of event, and nothing else, has its entry in the catalog")
    func catalog() throws {
        let file = URL(filePath: #filePath).appending(path: "../../../systemd/prwlock.catalog").standardized
        let text = try String(contentsOf: file, encoding: .utf8)
        let entries = text.split(separator: "\n-- ").dropFirst().map { String($0.prefix { $0 != "\n" }) }
        #expect(entries.count == Set(entries).count)
        #expect(Set(entries) == Set(JournalEntry.Event.allCases.map { "\($0.messageID)" }))
    }
}
