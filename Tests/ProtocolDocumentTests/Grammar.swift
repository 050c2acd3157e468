/// A grammar in the subset of ABNF that protocol.md uses (RFC 5234, and `%s` of RFC 7405).
final class Grammar {
    private indirect enum Element {
        case rule(String)
        case text([UInt8], isExact: Bool)
        case range(ClosedRange<UInt8>)
        case sequence([Element])
        case choice([(Branch, Element)])
        case repetition(Element, ClosedRange<Int>)
    }

    /// An index of `branches`, which identifies an alternative.
    private typealias Branch = Int

    private var rules: [String: Element] = [
        "ALPHA": .choice([(0, .range(0x41...0x5A)), (0, .range(0x61...0x7A))]), "DIGIT": .range(0x30...0x39),
        "SP": .range(0x20...0x20), "VCHAR": .range(0x21...0x7E), "CR": .range(0x0D...0x0D),
        "LF": .range(0x0A...0x0A),
    ]
    /// The text of each alternative. A group or an optional part has at least one.
    private var branches = ["a core rule"]

    /// The alternatives that the matching lines have used so far.
    private var taken: Set<Branch> = [0]

    /// Reads rules. Each rule begins in the first column of a line.
    init(_ text: String) throws {
        var rule = ""
        for line in text.split(separator: "\n") + ["end"[...]] {
            let code = line.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)[0]
            if code.first != " ", !rule.isEmpty {
                try add(rule)
                rule = ""
            }
            rule += code
        }
    }

    private func add(_ rule: String) throws {
        var parser = Parser(rest: rule[...], rule: rule, branches: branches)
        let name = parser.word()
        guard !name.isEmpty, rules[name] == nil, parser.take("=") else { throw Malformed(rule: rule) }
        rules[name] = try parser.choice()
        guard parser.isAtEnd else { throw Malformed(rule: rule) }
        branches = parser.branches
    }

    struct Malformed: Error {
        let rule: String
    }

    // MARK: Matching

    private var inExactCase = false

    /// Whether a rule matches a whole line; `inExactCase` makes all quoted text case-sensitive.
    func matches(_ line: String, _ rule: String, inExactCase: Bool = false) -> Bool {
        self.inExactCase = inExactCase
        return match(.rule(rule), Array(line.utf8)[...]) { $0.isEmpty }
    }

    /// The alternatives that no line has used.
    var unused: [String] { branches.indices.filter { !taken.contains($0) }.map { branches[$0] } }

    /// Whether the element matches the beginning of a line, and the continuation matches the rest.
    private func match(
        _ element: Element, _ line: ArraySlice<UInt8>, _ continuation: (ArraySlice<UInt8>) -> Bool
    ) -> Bool {
        switch element {
        case .rule(let name):
            guard let element = rules[name] else { preconditionFailure("the grammar has no rule \(name)") }
            return match(element, line, continuation)
        case .text(let text, let isExact):
            let found = line.prefix(text.count)
            let isEqual =
                isExact || inExactCase
                ? found.elementsEqual(text) : found.elementsEqual(text, by: Self.isSameLetter)
            return isEqual && continuation(line.dropFirst(text.count))
        case .range(let range):
            guard let first = line.first, range.contains(first) else { return false }
            return continuation(line.dropFirst())
        case .sequence(let elements): return match(elements[...], line, continuation)
        case .choice(let alternatives):
            for (branch, alternative) in alternatives where match(alternative, line, continuation) {
                taken.insert(branch)
                return true
            }
            return false
        case .repetition(let element, let times): return match(element, times, line, continuation)
        }
    }

    private func match(
        _ elements: ArraySlice<Element>, _ line: ArraySlice<UInt8>,
        _ continuation: (ArraySlice<UInt8>) -> Bool
    ) -> Bool {
        guard let first = elements.first else { return continuation(line) }
        return match(first, line) { match(elements.dropFirst(), $0, continuation) }
    }

    private func match(
        _ element: Element, _ times: ClosedRange<Int>, _ line: ArraySlice<UInt8>,
        _ continuation: (ArraySlice<UInt8>) -> Bool
    ) -> Bool {
        if times.upperBound > 0 {
            let left = max(times.lowerBound - 1, 0)...max(times.upperBound - 1, 0)
            let isMatched = match(element, line) { rest in
                rest.count < line.count && match(element, left, rest, continuation)
            }
            if isMatched { return true }
        }
        return times.lowerBound == 0 && continuation(line)
    }

    private static func isSameLetter(_ left: UInt8, _ right: UInt8) -> Bool {
        left == right || left ^ right == 0x20 && (0x61...0x7A).contains(left | 0x20)
    }

    // MARK: Reading

    private struct Parser {
        var rest: Substring
        let rule: String
        var branches: [String]

        mutating func choice() throws -> Element {
            var alternatives: [(Branch, Element)] = []
            repeat {
                skipSpaces()
                let start = rest
                let element = try sequence()
                let written = start.dropLast(rest.count).split(separator: " ").joined(separator: " ")
                branches.append("\(rule.prefix { $0 != " " }): \(written)")
                alternatives.append((branches.count - 1, element))
            } while take("/")
            return .choice(alternatives)
        }

        private mutating func sequence() throws -> Element {
            var elements: [Element] = []
            while !isAtEnd, !"/)]".contains(rest.first ?? "/") { elements.append(try repetition()) }
            return .sequence(elements)
        }

        private mutating func repetition() throws -> Element {
            if take("[") {
                let element = try choice()
                guard take("]") else { throw malformed }
                return .repetition(element, 0...1)
            }
            let least = Int(digits())
            guard rest.first == "*" else {
                return try least.map { .repetition(try single(), $0...$0) } ?? single()
            }
            rest.removeFirst()
            let most = Int(digits())
            return .repetition(try single(), (least ?? 0)...(most ?? .max))
        }

        private mutating func single() throws -> Element {
            if take("(") {
                let element = try choice()
                guard take(")") else { throw malformed }
                return element
            }
            let isExact = take("%s")
            if take("\"") {
                let text = rest.prefix { $0 != "\"" }
                rest = rest.dropFirst(text.count)
                guard take("\"") else { throw malformed }
                return .text(Array(text.utf8), isExact: isExact)
            }
            if take("%x") {
                let bounds = word().split(separator: "-").compactMap { UInt8($0, radix: 16) }
                guard let first = bounds.first, let last = bounds.last, bounds.count <= 2 else {
                    throw malformed
                }
                return .range(first...last)
            }
            let name = word()
            guard !name.isEmpty, !isExact else { throw malformed }
            return .rule(name)
        }

        private mutating func digits() -> Substring {
            skipSpaces()
            let digits = rest.prefix { $0.isNumber }
            rest = rest.dropFirst(digits.count)
            return digits
        }

        mutating func word() -> String {
            skipSpaces()
            let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "-" }
            rest = rest.dropFirst(word.count)
            return String(word)
        }

        mutating func take(_ text: String) -> Bool {
            skipSpaces()
            guard rest.hasPrefix(text) else { return false }
            rest = rest.dropFirst(text.count)
            return true
        }

        var isAtEnd: Bool {
            mutating get {
                skipSpaces()
                return rest.isEmpty
            }
        }

        private mutating func skipSpaces() { rest = rest.drop { $0 == " " } }

        private var malformed: Malformed { Malformed(rule: rule) }
    }
}
