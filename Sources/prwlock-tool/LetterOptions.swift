/// Splits option letters that stand together: `-xnw5` becomes `-x -n -w5`, as in `flock(1)`.
///
/// The argument parser accepts letters that stand together, and a value joined to its letter, but not both in one word.
enum LetterOptions {
    /// The subcommands with letter options.
    static let commands: Set<String> = ["run", "hold", "wait"]
    private static let withValue: Set<Character> = ["w", "E", "c", "k"]
    private static let withoutValue: Set<Character> = ["s", "x", "e", "n", "o", "F", "u"]

    /// The result of splitting a word of letters.
    struct Parts: Equatable {
        var words: [String]
        /// Whether the next word is the value of the last letter.
        var takesNextWord: Bool
    }

    /// The letters as separate words, the last one with its value. Returns the word unchanged if it contains an unknown
    /// letter.
    static func parts(of word: String) -> Parts {
        let letters = word.dropFirst()
        var parts: [String] = []
        for index in letters.indices {
            let letter = letters[index]
            if withValue.contains(letter) {
                let value = String(letters[letters.index(after: index)...])
                parts.append("-\(letter)")
                return value.isEmpty
                    ? Parts(words: parts, takesNextWord: true)
                    : Parts(words: parts + [ByteString.carryValue(value)], takesNextWord: false)
            }
            guard withoutValue.contains(letter) else { return Parts(words: [word], takesNextWord: false) }
            parts.append("-\(letter)")
        }
        return Parts(words: parts, takesNextWord: false)
    }
}
