import LockVocabulary

/// What stands before the colon in a line of a timeline.
///
/// - `a/t1 write jobs wait=5s lease=1s tag=x`: the owner `t1` of session `a` asks; `a` alone leaves the owner open.
///   So do `release`, `upgrade`, `downgrade … to=read`, `renew`, `cancel`, `validate … token=1`, `revoke … token=1`.
/// - `a/t1 releaseAll`: all that the owner has. `a ends`, `a recall on`: a session.
/// - `+ 250ms`: time. `allow token=9`, `drain`: the daemon.
/// - `jobs held`, `jobs awaited`, `jobs marked`: looks.
struct TimelineStep {
    let verb: String
    private let words: [Substring]

    init(_ text: String) {
        words = text.split(separator: " ")
        let first = words.first ?? ""
        let isAlone = ["+", "drain", "allow"].contains(first)
        verb = String(isAlone ? first : words.dropFirst().first ?? "")
    }

    var letter: Character { words.first?.first ?? "?" }

    /// The owner that a session speaks for; nil if it is left open.
    var owner: OwnerID? {
        words.first?.split(separator: "/").dropFirst().first.flatMap { OwnerID(String($0)) }
    }

    var lock: LockName {
        let isLook = ["held", "awaited", "marked"].contains(verb)
        let word = isLook ? words.first : words.dropFirst(2).first
        guard let word, let name = LockName(String(word)) else { fatalError("no lock is named: \(words)") }
        return name
    }

    var mode: LockMode { Self.mode(verb) }
    var newMode: LockMode { Self.mode(option("to") ?? "read") }
    var isOn: Bool { words.last == "on" }
    var wait: TimeLimit? { option("wait").map(Self.limit) }
    var lease: TimeLimit? { option("lease").map(Self.limit) }
    var tag: Tag? { option("tag").flatMap { Tag($0) } }
    var token: Token? { option("token").flatMap { UInt64($0) }.map(Token.init(rawValue:)) }

    /// How long `+` lets pass.
    var duration: Duration { Self.duration(String(words.last ?? "")) }

    private func option(_ key: String) -> String? {
        words.first { $0.hasPrefix(key + "=") }.map { String($0.dropFirst(key.count + 1)) }
    }

    private static func mode(_ word: String) -> LockMode {
        guard let mode = LockMode.allCases.first(where: { "\($0)" == word }) else {
            fatalError("not a mode: \(word)")
        }
        return mode
    }

    private static func limit(_ word: String) -> TimeLimit {
        word == "forever" ? .forever : .upTo(duration(word))
    }

    private static func duration(_ word: String) -> Duration {
        let number = Int64(word.prefix { $0.isNumber }) ?? 0
        switch word.drop(while: \.isNumber) {
        case "h": return .seconds(3_600 * number)
        case "s": return .seconds(number)
        case "ms": return .milliseconds(number)
        case "us": return .microseconds(number)
        case "" where number == 0: return .zero
        default: fatalError("not a duration: \(word)")
        }
    }
}

extension Substring {
    /// Without the spaces at both ends.
    var trimmed: String {
        var rest = self
        while rest.first == " " { rest.removeFirst() }
        while rest.last == " " { rest.removeLast() }
        return String(rest)
    }
}
