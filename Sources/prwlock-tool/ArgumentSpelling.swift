/// Translates a command line as a person spells it into the words that the argument parser knows.
///
/// 1. It refuses an unknown subcommand, and suggests a known one if its name is similar.
/// 2. It completes a long option that is shortened to an unambiguous prefix, as `getopt_long(3)` does.
/// 3. It splits option letters that stand together (`LetterOptions`).
///
/// It changes only words before the lock's name; the words after the name belong to the command. It marks each value as
/// a value (`ByteString.carryValue`). Otherwise the parser, which scans all words, would refuse some that begin with a
/// dash, even among a command's arguments.
enum ArgumentSpelling {
    /// A command line that cannot be parsed, with the error message.
    struct Fault: Error, Equatable {
        let line: String
    }

    static func read(_ arguments: [String]) throws(Fault) -> [String] {
        if arguments == ["-V"] { return ["--version"] }
        guard let word = arguments.first, !word.hasPrefix("-") else { return arguments }
        guard let options = LongOption.bySubcommand[word] else { throw unknown(word) }
        return try spellOut(arguments, options)
    }

    private static func spellOut(
        _ arguments: [String], _ options: [LongOption]
    ) throws(Fault) -> [String] {
        guard let subcommand = arguments.first else { return arguments }
        let isLocking = LetterOptions.commands.contains(subcommand)
        var spelled = [subcommand]
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            if word == "--" {
                // The next word is the name, even if it begins with a dash. The parser of `run` needs no `--` before
                // it.
                return subcommand == "run"
                    ? spelled + rest.map(ByteString.carryValue) : spelled + [word] + rest
            }
            if isLocking, word == "-V" || word == "--version" { return ["--version"] }
            if word.hasPrefix("--") {
                let takesNextWord = try spellLong(word, options, into: &spelled)
                if takesNextWord, let value = rest.popFirst() { spelled.append(ByteString.carryValue(value)) }
            } else if word.hasPrefix("-"), word.count > 1, isLocking {
                let parts = LetterOptions.parts(of: word)
                spelled += parts.words
                if parts.takesNextWord, let value = rest.popFirst() {
                    spelled.append(ByteString.carryValue(value))
                }
            } else {
                // This is the lock's name. After it, `run` and `hold` take a command; the other subcommands take more
                // options.
                spelled.append(word)
                if subcommand == "run" { return spelled + rest.map(ByteString.carryValue) }
                if isLocking { return spelled + rest }
            }
        }
        return spelled
    }

    /// Appends the full spelling of a word that begins with two dashes. Returns whether the next word is its value.
    private static func spellLong(
        _ word: String, _ options: [LongOption], into spelled: inout [String]
    ) throws(Fault) -> Bool {
        let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let typed = parts.first, let option = try find(String(typed), options) else {
            spelled.append(word)
            return false
        }
        let value = parts.dropFirst().first
        spelled.append("--" + option.name + (value.map { "=" + $0 } ?? ""))
        return option.takesValue && value == nil
    }

    /// The option that `typed` abbreviates; nil if no option matches. The parser reports that error.
    private static func find(
        _ typed: String, _ options: [LongOption]
    ) throws(Fault) -> (name: String, takesValue: Bool)? {
        var candidates: [(name: String, option: LongOption)] = []
        for option in options {
            if option.names.contains(typed) { return (typed, option.takesValue) }
            if let name = option.names.first(where: { $0.hasPrefix(typed) }) {
                candidates.append((name, option))
            }
        }
        guard let first = candidates.first, !typed.isEmpty else { return nil }
        guard candidates.count == 1 else {
            let names = candidates.map { "--" + $0.name }.joined(separator: ", ")
            throw Fault(line: "option '--\(typed)' is ambiguous: it may be \(names)")
        }
        return (first.name, first.option.takesValue)
    }

    private static func unknown(_ word: String) -> Fault {
        let names = LongOption.bySubcommand.keys.sorted()
        // On a tie, prefer a name of the same length: people swap letters more often than they omit one.
        let near = names.map { ($0, distance(word, $0)) }.min {
            ($0.1, abs($0.0.count - word.count)) < ($1.1, abs($1.0.count - word.count))
        }
        let shown = "there is no subcommand '\(word)'"
        if let near, near.1 <= max(1, word.count / 3) {
            return Fault(line: "\(shown); did you mean '\(near.0)'?")
        }
        return Fault(
            line:
                "\(shown): `prwlock --help` lists them; a command under a lock is `prwlock run NAME COMMAND`")
    }

    /// The number of letters to insert, remove, replace or swap with their neighbour that turn one word into the other
    /// (optimal string alignment, R. Lowrance and R. A. Wagner, 1975).
    static func distance(_ from: String, _ to: String) -> Int {
        let (from, to) = (Array(from), Array(to))
        var rows = [Array(0...to.count)]
        for (row, letter) in from.enumerated() {
            var current = [row + 1]
            for (column, other) in to.enumerated() {
                var least = min(
                    rows[row][column + 1] + 1, current[column] + 1,
                    rows[row][column] + (letter == other ? 0 : 1))
                if row > 0, column > 0, letter == to[column - 1], from[row - 1] == other {
                    least = min(least, rows[row - 1][column - 1] + 1)
                }
                current.append(least)
            }
            rows.append(current)
        }
        return rows[from.count][to.count]
    }
}
