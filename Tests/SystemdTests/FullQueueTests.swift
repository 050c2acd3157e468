import Systemd
import TestSupport
import Testing

@Suite("A log or a manager that takes nothing stops nothing")
struct FullQueueTests {
    @Test("entries that a hung journal does not take are counted, and told before the next that it takes")
    func journal() throws {
        let receiver = try DatagramReceiver()
        let journal = Journal(program: "test", level: .info, socket: receiver.path)
        var written = 0
        while journal.lost == 0 {
            journal.write(.info, "entry \(written)")
            written += 1
            try #require(written < 100_000)
        }
        journal.write(.info, "one more")
        #expect(journal.lost == 2)
        #expect(journal.hasUntoldLoss)

        for number in 0..<(written - 1) {
            #expect(receiver.read()?.contains("MESSAGE=entry \(number)\n") == true)
        }
        #expect(receiver.read() == nil)
        journal.write(.info, "it works again")
        let report = try #require(receiver.read())
        #expect(report.contains("MESSAGE=2 entries were lost: the log had no room\n"))
        #expect(report.contains("LOST=2\n"))
        #expect(report.contains("MESSAGE_ID=\(JournalEntry.Event.entriesLost.messageID)\n"))
        #expect(receiver.read()?.contains("MESSAGE=it works again\n") == true)
        #expect(!journal.hasUntoldLoss)
        #expect(journal.lost == 2)
    }

    @Test("a loss is told when there is room, without another entry to tell")
    func lossAlone() throws {
        let receiver = try DatagramReceiver()
        let journal = Journal(program: "test", level: .info, socket: receiver.path)
        while journal.lost == 0 { journal.write(.info, "entry") }
        journal.tellLost()
        #expect(journal.hasUntoldLoss)
        while receiver.read() != nil {}
        journal.tellLost()
        #expect(!journal.hasUntoldLoss)
        #expect(receiver.read()?.contains("MESSAGE=1 entry was lost") == true)
    }

    @Test("a journal that is not there costs entries and no more")
    func missing() {
        let journal = Journal(program: "test", level: .info, socket: "/nowhere/journal")
        journal.write(.info, "entry")
        #expect(journal.lost == 1)
    }

    @Test("a long entry is cut between two characters, and a line feed in it begins no field")
    func longEntry() throws {
        let receiver = try DatagramReceiver()
        let journal = Journal(program: "test", level: .info, socket: receiver.path)
        journal.write(.info, "x" + String(repeating: "é", count: 100_000))
        let long = try #require(receiver.read())
        #expect(long.utf8.count < 33_000)
        #expect(!long.contains("\u{FFFD}"))
        #expect(long.contains("\nPRIORITY=6\n"))
        journal.write(.info, "one\nPRIORITY=0")
        #expect(receiver.read()?.hasPrefix("MESSAGE=one\\x0APRIORITY=0\nPRIORITY=6\n") == true)
    }

    @Test("a change of state that a hung manager does not take is told when it takes it; a status is not")
    func manager() throws {
        let receiver = try DatagramReceiver()
        let readiness = Readiness(socket: receiver.path)
        while readiness.update(status: "filling") {}
        readiness.ready(status: "first")
        readiness.reloading()
        readiness.ready(status: "second")
        #expect(!readiness.alive())
        #expect(!readiness.update(status: "lost"))
        readiness.reloading()
        readiness.stopping(status: "leaving")
        #expect(readiness.hasUntoldChange)

        while receiver.read() != nil {}
        readiness.tellAgain()
        #expect(!readiness.hasUntoldChange)
        #expect(receiver.read() == "READY=1\nSTATUS=second")
        #expect(receiver.read()?.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") == true)
        #expect(receiver.read() == "STOPPING=1\nSTATUS=leaving")
        #expect(receiver.read() == nil)
    }

    @Test("a status with a line feed in it sets no other variable")
    func statusLine() throws {
        let receiver = try DatagramReceiver()
        #expect(Readiness(socket: receiver.path).update(status: "a\nMAINPID=1"))
        #expect(receiver.read() == "STATUS=a\\x0AMAINPID=1")
    }
}
