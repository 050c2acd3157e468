/// Option letters that are written together, taken apart: `-xnw5` into `-x -n -w5`, as `flock(1)` reads them.
///
/// The argument parser knows letters together, and a value joined to its letter, but not both in one word.
enum LetterOptions {
    /// The commands with such options, and those that take a value.
    static let commands: Set<String> = ["run", "hold"]
    private static let withValue: Set<Character> = ["w", "E", "c", "k"]
    private static let withoutValue: Set<Character> = ["s", "x", "e", "n", "o", "F", "u"]

    /// The letters of a word one by one, the last with its value; the word as it is, if a letter is not known.
    static func parts(of word: String) -> [String] {
        let letters = word.dropFirst()
        var parts: [String] = []
        for index in letters.indices {
            let letter = letters[index]
            if withValue.contains(letter) { return parts + ["-" + letters[index...]] }
            guard withoutValue.contains(letter) else { return [word] }
            parts.append("-\(letter)")
        }
        return parts
    }

    /// Whether the value of an option is the word that follows.
    static func takesNextWord(_ option: String) -> Bool {
        option.count == 2 && option.last.map(withValue.contains) ?? false
    }
}
