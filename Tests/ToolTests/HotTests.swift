import Foundation
import Glibc
import LockVocabulary
import LockWire
import Posix
import TestSupport
import Testing

@testable import prwlock_tool

/// The locks that have cost most.
@Suite struct HotTests {
    private func lock(ago: Duration, behind process: Int32?) throws -> HotLock {
        var row = Row.Hot(name: try #require(LockName("deploy%20b")))
        row.grants = 40
        row.waits = 4
        row.waited = .milliseconds(2_600)
        row.held = .seconds(7_200)
        row.longest = .milliseconds(2_500)
        row.behind = .init(processID: process, mode: .write)
        row.ago = ago
        row.waitBuckets = [2, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
        row.holdBuckets = [Int](repeating: 0, count: 15)
        let facts = { (_: Int32?) in ProcessDescription(user: "ann", command: "sh deploy.sh", unit: nil) }
        return HotLock(row, facts: facts)
    }

    @Test("the table has waits, percentiles, the longest wait, and the process that held the lock then")
    func table() throws {
        setenv("TZ", "UTC", 1)
        tzset()
        let hot = try lock(ago: .zero, behind: getpid())
        var table = Table(HotLock.columns, style: .plain)
        var text = table.render([hot.cells(DisplayClock(now: 1_700_000_000))]).text
        text = text.replacing("\(getpid()) (write)", with: "PID (write)")
        let lines = text.split(separator: "\n").map { $0.split(separator: #/ {2,}/#).map(String.init) }
        #expect(
            lines == [
                [
                    "WAITED", "WAITS", "P50", "P95", "LONGEST", "AT", "BEHIND", "USER", "COMMAND",
                    "GRANTS", "HELD", "NAME",
                ],
                [
                    "2 seconds", "4", "16 µs", "2 seconds", "2 seconds", "22:13:20", "PID (write)", "ann",
                    "sh deploy.sh", "40", "2 hours", "deploy b",
                ],
            ])
    }

    @Test("a process that began after the wait is not described: it only has the same id")
    func laterProcess() throws {
        #expect(try lock(ago: .seconds(100_000_000), behind: getpid()).holder == ProcessDescription())
        #expect(try lock(ago: .zero, behind: nil).holder == ProcessDescription())
        #expect(try lock(ago: .zero, behind: getpid()).holder.user == "ann")
    }

    @Test("JSON has the same facts, with times in the unit that each key names")
    func json() throws {
        let data = Data(try lock(ago: .seconds(3), behind: nil).json.encoded.utf8)
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(object["name"] as? String == "deploy b")
        #expect(object["encoded"] as? String == "deploy%20b")
        #expect(object["wait_p50_us"] as? Int == 16)
        #expect(object["longest_wait_ms"] as? Int == 2_500)
        #expect(object["longest_wait_ago_ms"] as? Int == 3_000)
        let behind = try #require(object["longest_wait_behind"] as? [String: Any])
        #expect(behind["pid"] is NSNull && behind["mode"] as? String == "write")
        #expect((object["wait_buckets"] as? [Int])?.count == 15)
    }

    @Test("a percentile lies in the bucket that has it, and is never longer than the longest wait")
    func percentiles() {
        var counts = [Int](repeating: 0, count: TimeBuckets.count)
        #expect(Percentile(50).value(in: counts, longest: .zero) == nil)
        counts[0] = 100
        #expect(Percentile(50).value(in: counts, longest: .seconds(1)) == .microseconds(8))
        counts[1] = 100
        #expect(Percentile(50).value(in: counts, longest: .seconds(1)) == .microseconds(16))
        #expect(Percentile(75).value(in: counts, longest: .seconds(1)) == .microseconds(40))
        #expect(Percentile(75).value(in: counts, longest: .microseconds(30)) == .microseconds(30))
        counts[TimeBuckets.count - 1] = 1_000
        #expect(Percentile(95).value(in: counts, longest: .seconds(5_000)) == .seconds(5_000))
    }

    @Test("the locks of a daemon are shown by the cost that is asked for")
    func daemon() throws {
        let daemon = try DaemonProcess()
        let nothing = "no lock has cost anything yet; a time counts when it ends\n"
        #expect(try ToolProcess(["hot"], at: daemon).rest() == nothing)
        #expect(try ToolProcess(["hot", "--json"], at: daemon).rest() == "[]\n")
        let (holder, waiter) = (try daemon.connect(), try daemon.connect())
        #expect(try holder.ask("WRITE waited/%1B")?.hasPrefix("GRANTED") == true)
        try waiter.send("WRITE waited/%1B")
        #expect(try waiter.ask("PING") == "PONG")
        let early = try ToolProcess(["hot"], at: daemon)
        #expect(try early.rest() == "no lock has cost anything yet; a time counts when it ends\n")
        let remark = "for 'waited/\\x1B' goes on (`prwlock top` shows it)"
        #expect(try early.complaints().contains(remark))
        #expect(try holder.ask("RELEASE waited/%1B")?.hasPrefix("RELEASED") == true)
        #expect(try waiter.nextLine()?.hasPrefix("GRANTED") == true)
        let lines = try ToolProcess(["hot"], at: daemon).rest().split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.last?.contains("\(getpid()) (write)") == true)
        #expect(lines.last?.hasSuffix("  waited/\\x1B") == true)
        for by in HotRank.allCases {
            let words = ["hot", "waited", "--by", by.rawValue, "--limit", "1", "--json"]
            let text = try ToolProcess(words, at: daemon).rest()
            let rows = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
            #expect(rows?.first?["encoded"] as? String == "waited/%1B")
        }
        #expect(try ToolProcess(["hot", "other"], at: daemon).rest() == nothing)
        #expect(try ToolProcess(["hot", "--by", "colour"], at: daemon).status() == 64)
        #expect(try ToolProcess(["hot", "--limit", "0"], at: daemon).status() == 64)
    }
}
