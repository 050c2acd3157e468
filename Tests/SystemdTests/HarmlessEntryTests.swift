import Glibc
import Systemd
import TestSupport
import Testing

@Suite("Text of another process in an entry") struct HarmlessEntryTests {
    private static let evil = "a\u{1B}[2J\u{7}\n\u{61C}\u{180E}\u{2028}\u{202E}\u{FFF9}\u{FFFB}\u{E0041}é"
    private static let shown =
        #"a\x1B[2J\x07\x0A\u{061C}\u{180E}\u{2028}\u{202E}\u{FFF9}\u{FFFB}\u{E0041}é"#

    /// A field of every kind that has text.
    private static let fields: [JournalEntry.Field] = [
        .lock(evil), .session(evil), .clientUnit(evil), .clientProgram(evil), .limit(evil),
    ]

    @Test("is escaped in the message and in each field of the journal")
    func journal() throws {
        let receiver = try DatagramReceiver()
        let journal = Journal(program: "test", level: .info, socket: receiver.path)
        journal.write(JournalEntry(.info, Self.evil, event: .denied, fields: Self.fields))
        let lines = try #require(receiver.read()).split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "MESSAGE=\(Self.shown)", "PRIORITY=6", "SYSLOG_IDENTIFIER=test",
                "MESSAGE_ID=\(JournalEntry.Event.denied.messageID)",
            ] + Self.fields.map { "\($0.name)=\(Self.shown)" })
    }

    @Test("is escaped in the status that the service manager shows")
    func status() throws {
        let receiver = try DatagramReceiver()
        let readiness = Readiness(socket: receiver.path)
        readiness.ready(status: Self.evil)
        #expect(receiver.read() == "READY=1\nSTATUS=\(Self.shown)")
        #expect(readiness.update(status: Self.evil))
        #expect(receiver.read() == "STATUS=\(Self.shown)")
        readiness.stopping(status: Self.evil)
        #expect(receiver.read() == "STOPPING=1\nSTATUS=\(Self.shown)")
    }
}
