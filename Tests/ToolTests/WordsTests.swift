import LockVocabulary
import Testing

@testable import prwlock_tool

@Suite struct WordsTests {
    @Test(
        "a duration is a number of seconds, or has a unit",
        arguments: [
            ("5", 5_000_000_000), ("0.25", 250_000_000), (".007", 7_000_000), ("5.", 5_000_000_000),
            ("250ms", 250_000_000), ("2m", 120_000_000_000), ("1.5h", 5_400_000_000_000), ("0", 0),
            ("0.0000000019", 1), ("1e-1", 100_000_000), ("1e3", 1_000_000_000_000), ("2.5E+1ms", 25_000_000),
            ("125e-2s", 1_250_000_000), ("1e-10", 0), ("0e9", 0),
        ] as [(String, Int64)])
    func seconds(text: String, nanoseconds: Int64) {
        #expect(Seconds(argument: text)?.duration == .nanoseconds(nanoseconds))
    }

    @Test(
        "a default value is shown as one that can be typed", arguments: [0, 100, 500, 1_000, 1_500, 90_000])
    func shownSeconds(milliseconds: Int) {
        let duration = Duration.milliseconds(milliseconds)
        #expect(Seconds(argument: Seconds(duration).defaultValueDescription)?.duration == duration)
    }

    @Test(
        "malformed durations are rejected",
        arguments: [
            "", ".", "s", "-1", "+1", "1e", "e3", "1e+", "1e99", "1e99999", "inf", "1.2.3", "5 s", "5d",
            "0x10", "99999999999999999999",
            "876001h",
        ])
    func noSeconds(text: String) {
        #expect(Seconds(argument: text) == nil)
    }

    @Test(
        "the help shows a default as it can be typed",
        arguments: [("10", .seconds(10)), ("500ms", .milliseconds(500))] as [(String, Duration)])
    func defaults(text: String, duration: Duration) {
        #expect(Seconds(duration).defaultValueDescription == text)
        #expect(Seconds(argument: text)?.duration == duration)
    }

    @Test(
        "a duration is shown in the units that a person would use",
        arguments: [
            (250, "250 ms"), (1000, "1 second"), (59_999, "59 seconds"), (60_000, "1 minute"),
            (61_000, "1 minute"), (7_200_000, "2 hours"), (9_000_000, "2 hours 30 minutes"),
            (36_000_000, "10 hours"), (90_000_000, "1 day 1 hour"),
        ])
    func durations(milliseconds: Int, words: String) {
        #expect(Duration.milliseconds(milliseconds).inWords == words)
    }

    @Test("any word passes through the argument parser unchanged")
    func byteStrings() {
        var words = (UInt8.min...UInt8.max).map { [UInt8(ascii: "a"), $0] }
        words += [
            Array("-x".utf8), Array("---".utf8), [], Array("\u{10FF2D}\u{301}é".utf8), [0xC3, 0x28, 0xFF],
        ]
        for word in words {
            let carried = ByteString.carry(word)
            #expect(ByteString.bytes(in: carried) == word)
            #expect(ByteString.bytes(in: ByteString.carryValue(carried)) == word)
            #expect(!ByteString.carryValue(carried).hasPrefix("-"))
        }
        #expect(ByteString([0x63, 0xC3, 0xA9, 0xE9, 0x1B]).shown == "cé\\xE9\\x1B")
    }

    @Test("JSON escapes what a terminal obeys or hides, beyond the first plane by two units")
    func json() {
        let text = "\"\\\u{1B}\u{9B}\u{202E}\u{E0041}é\n"
        #expect(JSON.string(text).encoded == #""\"\\\u001B\u009B\u202E\uDB40\uDC41é\n""#)
    }

    @Test("what is put into the output's text is escaped, and what this program says itself is not")
    func shown() {
        let text = "a\n\u{1B}[2J\u{202E}"
        #expect(("\u{1B}[K\(text)\n" as Shown).text == "\u{1B}[Ka\\x0A\\x1B[2J\\u{202E}\n")
        #expect(Shown(text).text == "a\\x0A\\x1B[2J\\u{202E}")
        #expect(Shown(lines: Array(text.utf8)).text == "a\n\\x1B[2J\\u{202E}")
        #expect(Style(hasColour: true).strong(text).text == "\u{1B}[1ma\\x0A\\x1B[2J\\u{202E}\u{1B}[0m")
    }

    @Test(
        "a command line has quotes around arguments with spaces, and a unit is shown by its name"
    )
    func processFacts() {
        #expect(ProcessDescription.command(Array("sh\0-c\0a b\0\0".utf8)) == "sh -c 'a b' ''")
        #expect(ProcessDescription.command([]) == nil)
        let slices = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/backup.service/inner\n"
        #expect(ProcessDescription.unit(Array(slices.utf8)) == "backup.service")
        #expect(ProcessDescription.unit(Array("1:name=systemd:/x.service\n0::/\n".utf8)) == nil)
    }

    @Test("a table keeps its columns aligned across parts, and cuts lines to the terminal's width")
    func table() {
        var table = Table([.init("A"), .init("N", isNumber: true)], style: Style(columns: 8))
        #expect(table.render([["long", "1"], ["", "12"]]).text == "A      N\nlong   1\n-     12\n")
        #expect(table.render([["x", "3"]]).text == "x      3\n")
        #expect(table.render([["much longer", "3"]]).text == "much lo…\n")
    }
}
