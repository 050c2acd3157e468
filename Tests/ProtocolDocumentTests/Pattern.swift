/// A pattern for a received line: literal text, with placeholders in angle brackets for parts that differ between runs.
///
/// `<pid A>` matches the process id of session A; `<t1>` and `<n1>`, with any digits, a number that is the same in
/// all places with this placeholder; `<n>` any number; `<ms>` a duration in milliseconds; `<age>` an age; `<word>`
/// any word; `<text>` the rest of the line.
struct Pattern {
    /// The numbers that numbered placeholders have matched, by name.
    typealias Bindings = [String: Substring]

    private enum Piece {
        case literal(Substring)
        case placeholder(Substring)
    }

    private let pieces: [Piece]

    init(_ text: String) {
        var pieces: [Piece] = []
        var rest = text[...]
        while let match = rest.firstMatch(of: /<([a-z]+[0-9]*|pid [A-Z])>/) {
            pieces.append(.literal(rest[..<match.range.lowerBound]))
            pieces.append(.placeholder(match.output.1))
            rest = rest[match.range.upperBound...]
        }
        pieces.append(.literal(rest))
        self.pieces = pieces
    }

    /// Whether the pattern matches a line. A match binds the placeholders that are not bound yet.
    func matches(_ line: String, _ bindings: inout Bindings, processes: [Character: Int32]) -> Bool {
        var rest = line[...]
        var bound = bindings
        for piece in pieces {
            switch piece {
            case .literal(let text):
                guard rest.hasPrefix(text) else { return false }
                rest = rest.dropFirst(text.count)
            case .placeholder(let name):
                guard let length = Self.length(of: name, in: rest, processes), length > 0 else {
                    return false
                }
                let value = rest.prefix(length)
                rest = rest.dropFirst(length)
                guard name.last?.isNumber ?? false else { continue }
                guard bound[String(name), default: value] == value else { return false }
                bound[String(name)] = value
            }
        }
        guard rest.isEmpty else { return false }
        bindings = bound
        return true
    }

    /// The text with each bound placeholder replaced by its number.
    static func fill(_ text: String, _ bindings: Bindings) -> String {
        Pattern(text).pieces.map { piece in
            switch piece {
            case .literal(let text): String(text)
            case .placeholder(let name): bindings[String(name)].map(String.init) ?? "<\(name)>"
            }
        }.joined()
    }

    /// The length of the text that a placeholder matches; nil if there is no such placeholder.
    private static func length(of name: Substring, in text: Substring, _ processes: [Character: Int32])
        -> Int?
    {
        let digits = text.prefix { ("0"..."9").contains($0) }
        let unit = text.dropFirst(digits.count)
        switch name {
        case "text": return text.count
        case "word": return text.prefix { $0 != " " }.count
        case "n": return digits.count
        case "ms": return unit.hasPrefix("ms") ? digits.count + 2 : 0
        case "age": return text.prefixMatch(of: /[0-9]+(ms|(\.[0-9]{3})?s)/)?.output.0.count ?? 0
        case _ where name.hasPrefix("pid "):
            guard let process = name.last.flatMap({ processes[$0] }) else { return nil }
            return digits == String(process) ? digits.count : 0
        case _ where name.first == "t" || name.first == "n":
            return name.last?.isNumber ?? false ? digits.count : nil
        default: return nil
        }
    }
}
