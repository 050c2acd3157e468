/// Option letters that are written together, taken apart: `-xnw5` into `-x -n -w5`, as `flock(1)` reads them.
///
/// The argument parser knows letters together, and a value joined to its letter, but not both in one word.
enum LetterOptions {
    /// The commands with such options, and those that take a value.
    static let commands: Set<String> = ["run", "hold"]
    private static let withValue: Set<Character> = ["w", "E", "c", "k"]
    private static let withoutValue: Set<Character> = ["s", "x", "e", "n", "o", "F", "u"]

    /// The words that a word of letters stands for.
    struct Parts: Equatable {
        var words: [String]
        /// Whether the value of the last letter is the word that follows.
        var takesNextWord: Bool
    }

    /// The letters of a word one by one, the last with its value; the word as it is, if a letter is not known.
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
