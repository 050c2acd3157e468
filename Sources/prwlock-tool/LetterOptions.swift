/// Option letters that are written together, taken apart: `-xnw5` into `-x -n -w5`, as `flock(1)` reads them.
///
/// The argument parser knows letters together, and a value joined to its letter, but not both in one word.
enum LetterOptions {
    /// The commands with such options, and those that take a value.
    private static let commands: Set<String> = ["run", "hold"]
    private static let withValue: Set<Character> = ["w", "E", "c", "k"]
    private static let withoutValue: Set<Character> = ["s", "x", "e", "n", "o", "F", "u"]
    private static let longWithValue: Set<String> = [
        "--wait", "--timeout", "--conflict-exit-code", "--lease", "--note", "--command", "--kill-after",
        "--socket", "--pid",
    ]

    /// The arguments of the program, those before the lock's name taken apart; what follows it is left as it is.
    static func spread(_ arguments: [String]) -> [String] {
        guard let command = arguments.first, commands.contains(command) else { return arguments }
        var spread = [command]
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            guard word.count > 1, word.hasPrefix("-"), word != "--" else { return spread + [word] + rest }
            if word.hasPrefix("--") {
                spread.append(word)
                if longWithValue.contains(word), let value = rest.popFirst() { spread.append(value) }
                continue
            }
            let parts = parts(of: word.dropFirst())
            spread += parts
            if let last = parts.last, last.count == 2, let letter = last.last, withValue.contains(letter),
                let value = rest.popFirst()
            {
                spread.append(value)
            }
        }
        return spread
    }

    /// The letters one by one, the last with its value; the word as it is, if a letter is not known.
    private static func parts(of letters: Substring) -> [String] {
        var parts: [String] = []
        for index in letters.indices {
            let letter = letters[index]
            if withValue.contains(letter) { return parts + ["-" + letters[index...]] }
            guard withoutValue.contains(letter) else { return ["-" + letters] }
            parts.append("-\(letter)")
        }
        return parts
    }
}
