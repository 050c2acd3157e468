import Testing

/// Counts pronouns that make a reader search for a noun: a sentence with the noun in their place is read once.
@Suite("Comments are in plain English")
struct WordTests {
    // Spelled so that this file does not contain the words.
    private let words = /(?i)\b(?:who(?:ever|mever|m|se)|(?:no|some)body)\b/

    @Test("at most 60 comment lines have a pronoun for an unnamed person")
    func pronouns() throws {
        var found: [String] = []
        for folder in ["Sources", "Tests"] {
            let endings = [".swift", ".c", ".h", ".py", "/mutate", "/drive", "/place", "/fuzz", "/check"]
            for file in try SourceTree.files(below: folder, endings: endings) {
                for (number, comment) in file.comments where comment.contains(words) {
                    found.append("\(file.path):\(number): \(comment)")
                }
            }
        }
        #expect(found.count <= 60, "\(found.joined(separator: "\n"))")
    }
}

extension SourceTree.File {
    /// The lines that are comments or end in one, with their numbers; in Python also those of documentation strings.
    fileprivate var comments: [(Int, Substring)] {
        let mark = [".swift", ".c", ".h"].contains { path.hasSuffix($0) } ? "//" : "#"
        var isQuoted = false
        return lines.enumerated().compactMap { index, line in
            let quotes = mark == "#" ? line.ranges(of: "\"\"\"").count : 0
            defer { if !quotes.isMultiple(of: 2) { isQuoted.toggle() } }
            if isQuoted || quotes > 0 { return (index + 1, line) }
            let text = line.drop { $0 == " " }
            if mark == "//", text.hasPrefix("*") || text.hasPrefix("/*") { return (index + 1, text) }
            return line.firstRange(of: mark).map { (index + 1, line[$0.lowerBound...]) }
        }
    }
}
