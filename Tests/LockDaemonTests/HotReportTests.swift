import LockVocabulary
import Systemd
import Testing

@testable import LockDaemon
@testable import LockServer

@Suite("The report of the locks that cost most") struct HotReportTests {
    private func entry(_ day: DayOfLock) throws -> JournalEntry {
        JournalEntry(day, of: try #require(LockName("jobs/a")))
    }

    @Test("says in words what a lock has cost in a day, and names it in a field") func words() throws {
        let entry = try entry(
            DayOfLock(
                place: 1, grants: 4_000, held: .seconds(10_805), waits: 311, waited: .seconds(7_500),
                longest: .milliseconds(61_250), behind: 811))
        #expect(
            "\(entry)" == "notice: lock jobs/a is number 1 of those that cost most in the last day:"
                + " 311 requests waited 2h 5m in all, one of them 1m 1s for process 811; it was held 3h in 4000 grants"
                + " (LOCK=jobs/a)")
    }

    @Test("leaves out the longest wait if it was before this day, and the holder if none is known")
    func unknown() throws {
        var day = DayOfLock(
            place: 2, grants: 0, held: .zero, waits: 1, waited: .milliseconds(3_020), longest: nil,
            behind: nil)
        #expect(
            try entry(day).message.hasSuffix(
                ": 1 request waited 3s 20ms in all; it was held less than 1ms in 0 grants"))
        day = DayOfLock(
            place: 2, grants: 0, held: .zero, waits: 1, waited: .milliseconds(20),
            longest: .milliseconds(20), behind: nil)
        #expect(try entry(day).message.contains("waited 20ms in all, one of them 20ms; "))
    }
}
