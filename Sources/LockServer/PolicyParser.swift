import LockVocabulary

/// A fault in a rule file, with its place: lines and columns count from 1, columns in bytes.
public struct PolicyFault: Error, Equatable, CustomStringConvertible {
    public let line: Int
    public let column: Int
    public let reason: String

    public init(line: Int, column: Int, reason: String) {
        self.line = line
        self.column = column
        self.reason = reason
    }

    public var description: String { "\(line):\(column): \(reason)" }
}

/// What the words of a rule file mean on this host.
public struct PolicyNames {
    /// The number of the user or group with a name; nil if the host has none.
    public var user: (String) -> UInt32?
    public var group: (String) -> UInt32?
    /// The facts about peers that this host can state with certainty.
    public var facts: Policy.Facts

    public init(
        facts: Policy.Facts = [.groups, .unit, .executable], user: @escaping (String) -> UInt32?,
        group: @escaping (String) -> UInt32?
    ) {
        self.facts = facts
        self.user = user
        self.group = group
    }
}

extension Policy {
    /// Parses a rule file, whole or not at all.
    ///
    ///     line    = [ permission / limit / order ] [ "#" comment ]
    ///     permission = ( "allow" / "deny" ) who rights names
    ///     limit   = "limit" who 1*( what "=" number )     ; sessions, grants, waiters, watchers, requests
    ///     order   = "order" names 1*( "<" names ) ( "warn" / "refuse" )
    ///     who     = "everyone" / ( "user=" / "group=" / "unit=" / "exe=" ) word *( "," word )
    ///     rights  = "all" / right *( "," right )          ; read, write, look, notes, watch, revoke
    ///     names   = "*" / prefix
    public init(parsing text: String, _ names: PolicyNames) throws(PolicyFault) {
        self.init()
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            var parser = LineParser(line: line, number: index + 1, names: names)
            try parser.read(into: &self)
        }
    }
}

/// Parses one line, word by word.
private struct LineParser {
    struct Word {
        let text: String
        let column: Int
    }

    private let number: Int
    private let names: PolicyNames
    private var words: ArraySlice<Word>
    /// The column behind the last word.
    private let end: Int

    init(line: Substring.UTF8View, number: Int, names: PolicyNames) {
        self.number = number
        self.names = names
        var words: [Word] = []
        var word: [UInt8] = []
        var end = 0
        for (index, byte) in line.enumerated() {
            let isBlank =
                byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
            if byte == UInt8(ascii: "#"), word.isEmpty { break }
            if !isBlank {
                word.append(byte)
                end = index + 1
            }
            guard isBlank || index + 1 == line.count, !word.isEmpty else { continue }
            words.append(Word(text: String(decoding: word, as: UTF8.self), column: end - word.count + 1))
            word = []
        }
        self.words = words[...]
        self.end = end + 1
    }

    mutating func read(into policy: inout Policy) throws(PolicyFault) {
        guard let first = words.popFirst() else { return }
        switch first.text {
        case "allow", "deny": policy.permissions.append(try permission(allows: first.text == "allow"))
        case "limit": policy.limits.append(try limit())
        case "order": try order(into: &policy.order)
        default: throw fault(first, "a line begins with allow, deny, limit or order")
        }
        if let more = words.first { throw fault(more, "the line was complete before this") }
    }

    // MARK: - Lines

    private mutating func permission(allows: Bool) throws(PolicyFault) -> Policy.Permission {
        let subject = try subject(denied: !allows)
        let rights = try rights()
        let prefix = try prefix(try next("a prefix of names, or *"))
        return Policy.Permission(allows: allows, subject: subject, rights: rights, prefix: prefix)
    }

    private mutating func limit() throws(PolicyFault) -> Policy.Limit {
        let subject = try subject()
        var allowance = Policy.Allowance()
        var word = try next("what is limited, as sessions=100")
        while true {
            let (key, value) = try assignment(word, "what is limited and how far, as sessions=100")
            let path: WritableKeyPath<Policy.Allowance, Int?>
            switch key.text {
            case "sessions": path = \.sessions
            case "grants": path = \.grants
            case "waiters": path = \.waiters
            case "watchers": path = \.watchers
            case "requests": path = \.requests
            default: throw fault(key, "what is limited is sessions, grants, waiters, watchers or requests")
            }
            guard allowance[keyPath: path] == nil else { throw fault(key, "\(key.text) is said twice") }
            allowance[keyPath: path] = try count(value, least: key.text == "requests" ? 1 : 0)
            guard let more = words.popFirst() else { return Policy.Limit(subject, allowance) }
            word = more
        }
    }

    private mutating func order(into order: inout LockOrder) throws(PolicyFault) {
        var chain = [try next("the names that come first")]
        repeat {
            let sign = try next("< and the names that come after")
            guard sign.text == "<" else { throw fault(sign, "< is expected here") }
            chain.append(try next("the names that come after"))
        } while words.first?.text == "<"
        let measure = try next("warn or refuse")
        guard let named = LockOrder.Measure(rawValue: measure.text) else {
            throw fault(measure, "warn or refuse is expected here")
        }
        var prefixes: [String] = []
        for word in chain {
            guard word.text != "*" else { throw fault(word, "all names cannot come before or after others") }
            prefixes.append(try prefix(word))
        }
        do throws(LockOrder.Fault) {
            try order.add(prefixes, named)
        } catch {
            switch error {
            case .circle(let place):
                throw fault(chain[place], "\(chain[place].text) would come before itself")
            case .tooMany(let place):
                throw fault(chain[place], "more than \(LockOrder.mostClasses) prefixes are in order")
            }
        }
    }

    // MARK: - Words

    private mutating func subject(denied: Bool = false) throws(PolicyFault) -> Policy.Subject {
        let word = try next("the subject: everyone, user=, group=, unit= or exe=")
        if word.text == "everyone" { return .everyone }
        let (key, value) = try assignment(word, "the subject: everyone, user=, group=, unit= or exe=")
        let parts = try list(value)
        switch key.text {
        case "user":
            return .users(try parts.map { part throws(PolicyFault) in try number(part, "user", names.user) })
        case "group":
            try require(.groups, key, "the kernel does not tell a peer's groups")
            return .groups(
                try parts.map { part throws(PolicyFault) in try number(part, "group", names.group) })
        case "unit":
            try require(.unit, key, "the kernel cannot tell a peer's unit for certain: it needs Linux 6.5")
            return .units(parts.map(\.text))
        case "exe":
            if denied { throw fault(key, "to deny a program keeps no user out: a copy has another path") }
            try require(.executable, key, "the daemon is not let see other processes' programs")
            if let part = parts.first(where: { !$0.text.hasPrefix("/") }) {
                throw fault(part, "\(quoted(part)) is not an absolute path")
            }
            return .executables(parts.map(\.text))
        default: throw fault(key, "the subject is everyone, user=, group=, unit= or exe=")
        }
    }

    private mutating func rights() throws(PolicyFault) -> Set<Policy.Right> {
        let word = try next("what is allowed or denied")
        if word.text == "all" { return Set(Policy.Right.allCases) }
        var rights: Set<Policy.Right> = []
        for part in try list(word) {
            guard let right = Policy.Right(rawValue: part.text) else {
                let all = Policy.Right.allCases.map(\.rawValue).joined(separator: ", ")
                throw fault(part, "\(quoted(part)) is not a right (\(all), or all)")
            }
            rights.insert(right)
        }
        return rights
    }

    private func prefix(_ word: Word) throws(PolicyFault) -> String {
        if word.text == "*" { return "" }
        let isFine = word.text.utf8.allSatisfy { NameAlphabet.contains($0) || $0 == UInt8(ascii: "%") }
        guard isFine else {
            let hint =
                word.text.hasSuffix("*") ? "; a prefix stands for all names that begin so, without a *" : ""
            throw fault(word, "\(quoted(word)) is not the beginning of a name\(hint)")
        }
        guard word.text.utf8.count <= 255 else { throw fault(word, "a name has 255 bytes at the most") }
        return word.text
    }

    private func number(
        _ word: Word, _ kind: String, _ lookUp: (String) -> UInt32?
    ) throws(PolicyFault) -> UInt32 {
        if let number = UInt32(word.text) { return number }
        guard let number = lookUp(word.text) else { throw fault(word, "there is no \(kind) \(quoted(word))") }
        return number
    }

    private func count(_ word: Word, least: Int) throws(PolicyFault) -> Int {
        guard let number = Int(word.text), (least...1_000_000_000).contains(number) else {
            throw fault(word, "\(quoted(word)) is not a number from \(least) to 1000000000")
        }
        return number
    }

    private func require(_ fact: Policy.Facts, _ word: Word, _ reason: String) throws(PolicyFault) {
        guard names.facts.contains(fact) else { throw fault(word, reason) }
    }

    /// The parts of `key=value`.
    private func assignment(_ word: Word, _ expected: String) throws(PolicyFault) -> (Word, Word) {
        guard let sign = word.text.utf8.firstIndex(of: UInt8(ascii: "=")) else {
            throw fault(word, "\(quoted(word)) is not \(expected)")
        }
        let key = String(word.text[..<sign])
        let value = String(word.text[word.text.utf8.index(after: sign)...])
        return (
            Word(text: key, column: word.column),
            Word(text: value, column: word.column + key.utf8.count + 1)
        )
    }

    /// The parts between commas; an empty part is a fault.
    private func list(_ word: Word) throws(PolicyFault) -> [Word] {
        var parts: [Word] = []
        var column = word.column
        for part in word.text.split(separator: ",", omittingEmptySubsequences: false) {
            guard !part.isEmpty else {
                throw PolicyFault(line: number, column: column, reason: "a word is missing here")
            }
            parts.append(Word(text: String(part), column: column))
            column += part.utf8.count + 1
        }
        return parts
    }

    private mutating func next(_ expected: String) throws(PolicyFault) -> Word {
        guard let word = words.popFirst() else {
            throw PolicyFault(line: number, column: end, reason: "\(expected) is missing")
        }
        return word
    }

    /// A word as a message shows it: `?` replaces each character that could harm a terminal.
    private func quoted(_ word: Word) -> String {
        "`"
            + word.text.unicodeScalars.map {
                $0.isASCII && $0.value >= 0x20 && $0.value != 0x7F ? String($0) : "?"
            }.joined() + "`"
    }

    private func fault(_ word: Word, _ reason: String) -> PolicyFault {
        PolicyFault(line: number, column: word.column, reason: reason)
    }
}
