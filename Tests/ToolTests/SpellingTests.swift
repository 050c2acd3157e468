import TestSupport
import Testing

@testable import prwlock_tool

/// The spellings of a command line that are translated before the argument parser reads it.
@Suite struct SpellingTests {
    /// The words that the parser gets, with brackets around the encoded dash of a value.
    private func read(_ words: [String]) throws -> [String] {
        let dash = ByteString.carryValue("-")
        return try ArgumentSpelling.read(words).map { $0.hasPrefix(dash) ? "[-]" + $0.dropFirst() : $0 }
    }

    @Test("combined letters are split before the name, and not after it")
    func letters() throws {
        let lines: [([String], [String])] = [
            (["run", "-xnw5", "x", "ls", "-la"], ["run", "-x", "-n", "-w", "5", "x", "ls", "[-]la"]),
            (["run", "-nE", "7", "x", "-nE"], ["run", "-n", "-E", "7", "x", "[-]nE"]),
            (["run", "-wec", "x", "y"], ["run", "-w", "ec", "x", "y"]),
            (["hold", "--note", "-sn", "-sn", "x"], ["hold", "--note", "[-]sn", "-s", "-n", "x"]),
            (["run", "--", "-sn", "--", "---"], ["run", "[-]sn", "[-]-", "[-]--"]),
            (["run", "-n", "--", "-x", "--excl"], ["run", "-n", "[-]x", "[-]-excl"]),
            (["run", "-nq", "x"], ["run", "-nq", "x"]),
            (["list", "-sn"], ["list", "-sn"]),
        ]
        for (typed, spelled) in lines { #expect(try read(typed) == spelled) }
    }

    @Test("a long option may be shortened to a unique prefix, with its value in either form")
    func abbreviations() throws {
        let lines: [([String], [String])] = [
            (["run", "--excl", "x", "--excl"], ["run", "--exclusive", "x", "[-]-excl"]),
            (["run", "--conf=7", "-n", "x"], ["run", "--conflict-exit-code=7", "-n", "x"]),
            (["run", "--tim", "5", "x"], ["run", "--timeout", "5", "x"]),
            (["run", "--non", "x"], ["run", "--nonblock", "x"]),
            (["hold", "--print", "x"], ["hold", "--print-token", "x"]),
            (["status", "x", "--js"], ["status", "x", "--json"]),
            (["run", "--unknown", "x"], ["run", "--unknown", "x"]),
        ]
        for (typed, spelled) in lines { #expect(try read(typed) == spelled) }
        #expect(
            throws: ArgumentSpelling.Fault(
                line: "option '--no' is ambiguous: it may be --nonblock, --note, --no-fork")
        ) {
            try ArgumentSpelling.read(["run", "--no", "x"])
        }
    }

    @Test("the table of long options agrees with the help of each subcommand")
    func options() throws {
        let daemon = try DaemonProcess()
        for (subcommand, options) in LongOption.bySubcommand where subcommand != "help" {
            let help = try ToolProcess([subcommand, "--help"], at: daemon).rest()
            let lines = help.split(separator: "\n").filter { $0.hasPrefix("  -") }
            var shown: Set<String> = []
            for line in lines {
                // Two spaces separate the option's names and value from its help text.
                let head = line.dropFirst(2).split(separator: "  ").first ?? ""
                for word in head.split(whereSeparator: { " ,/=".contains($0) }) where word.hasPrefix("--") {
                    shown.insert(String(word.dropFirst(2)))
                }
            }
            let known = Set(options.flatMap(\.names)).subtracting(["unlock"])
            #expect(known == shown, "\(subcommand)")
        }
    }

    @Test(
        "the error for a mistyped subcommand suggests the right one",
        arguments: [
            ("stauts", "status"), ("lst", "list"), ("relase", "release"), ("holdd", "hold"), ("rn", "run"),
            ("vaildate", "validate"),
        ])
    func misspelled(typed: String, meant: String) throws {
        let daemon = try DaemonProcess()
        let tool = try ToolProcess([typed], at: daemon)
        #expect(
            try tool.complaints() == "prwlock: there is no subcommand '\(typed)'; did you mean '\(meant)'?\n")
        #expect(try tool.status() == 64)
    }

    @Test("the error for a word unlike any subcommand names the help")
    func unknown() throws {
        let daemon = try DaemonProcess()
        let tool = try ToolProcess(["deploy", "./deploy.sh"], at: daemon)
        #expect(try tool.complaints().contains("`prwlock run NAME COMMAND`"))
        #expect(try tool.status() == 64)
    }

    @Test("the distance between two words counts insertions, removals, replacements and swaps")
    func distance() {
        #expect(ArgumentSpelling.distance("status", "status") == 0)
        #expect(ArgumentSpelling.distance("stauts", "status") == 1)
        #expect(ArgumentSpelling.distance("", "run") == 3)
        #expect(ArgumentSpelling.distance("kitten", "sitting") == 3)
    }
}
