import Testing

@Suite("What is said about the daemon is true")
struct OptionTests {
    /// An option in `prwlockd --help`.
    struct Option: Hashable {
        let name: String
        /// The default; empty if the option has none.
        let standard: String
    }

    @Test("every option of the daemon stands in its manual, with its variable, and no other does")
    func options() throws {
        let manual = try SourceTree.text("Sources/manual/prwlockd.8")
        let options = try helpOptions()
        #expect(!options.isEmpty)
        for option in options {
            #expect(manual.contains(".It Fl -\(option.name)"), "--\(option.name)")
            // An option that is an action has no variable.
            guard !["help", "version", "check-config", "reload"].contains(option.name) else { continue }
            let variable = "PRWLOCKD_" + option.name.uppercased().replacing("-", with: "_")
            #expect(manual.contains(".Ev \(variable)\n"), "\(variable)")
        }
        let described = manual.matches(of: /\.It Fl -([a-z-]+)/).map { String($0.1) }
        #expect(Set(described) == Set(options.map(\.name)))
    }

    @Test("every default in the manual is the daemon's")
    func manualDefaults() throws {
        let manual = try SourceTree.text("Sources/manual/prwlockd.8")
        for option in try helpOptions() where option.name.hasPrefix("max-") {
            let entry = manual.split(separator: ".It Fl -").first { $0.hasPrefix("\(option.name) ") }
            let stated = entry?.firstMatch(of: /by default (\d+)/)?.1
            #expect(stated.map(String.init) == option.standard, "--\(option.name)")
        }
    }

    @Test("every limit of the protocol is an option of the daemon with that default (G12)")
    func limits() throws {
        let rows = try SourceTree.text("protocol.md").matches(
            of: /\| ([^|]+) \| ([^|]+) \| `--(max-[a-z-]+)` \|/)
        let stated = Set(rows.map { Option(name: String($0.3), standard: bytesOrNumber($0.2)) })
        let actual = Set(try helpOptions().filter { $0.name.hasPrefix("max-") })
        #expect(stated == actual)
    }

    /// The options and their defaults according to the daemon.
    private func helpOptions() throws -> [Option] {
        let help = try Program.daemon.output("--help")
        let entries = help.split(separator: /\n\s+--/).dropFirst()
        return entries.map { entry in
            let name = entry.prefix { $0.isLetter || $0 == "-" }
            let standard = entry.firstMatch(of: /\(default: ([^)]+)\)/)?.1 ?? ""
            return Option(name: String(name), standard: String(standard))
        }
    }

    /// Turns `65,536` or `256 KiB` into the plain number that the daemon prints.
    private func bytesOrNumber(_ text: Substring) -> String {
        let digits = String(text.filter(\.isWholeNumber))
        guard let number = Int(digits) else { return String(text) }
        if text.hasSuffix(" KiB") { return String(number << 10) }
        if text.hasSuffix(" MiB") { return String(number << 20) }
        return String(number)
    }
}
