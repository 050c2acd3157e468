import LockModel
import LockVocabulary

/// The part of a timeline's line before the colon.
///
/// - `a/t1 write jobs wait=5s lease=1s tag=x`: the owner `t1` of session `a` asks; `a` alone leaves the owner open.
///   So do `upgrade`, `downgrade … to=read`, `release`, `leave`, `renew`, `cancel`, `validate … token=1` and
///   `revoke … token=1`.
/// - `a/t1 releaseAll`: all grants and requests of the owner. `a ends`, `a recall on`: a session.
/// - `+ 250ms`: time. `allow token=9`, `drain`: the daemon.
/// - `jobs held`, `jobs awaited`, `jobs marked`: looks at a lock.
enum TimelineStep {
    enum Look: String {
        case held, awaited, marked
    }

    case command(Character, Command, LockVocabulary.Tag?)
    case ends(Character)
    case passes(Duration)
    case allows(Token)
    case drains
    case looks(Look, LockName)

    init(_ text: String) {
        let words = TimelineWords(text)
        switch (words[0], words[1]) {
        case ("+", let time): self = .passes(words.duration(time))
        case ("allow", _): self = .allows(words.token)
        case ("drain", _): self = .drains
        case (_, "ends"): self = .ends(words.letter)
        case (let lock, let word):
            if let look = Look(rawValue: word) {
                self = .looks(look, name(lock))
            } else {
                self = .command(words.letter, Command(words), words.option("tag").flatMap { Tag($0) })
            }
        }
    }
}

extension Command {
    fileprivate init(_ words: TimelineWords) {
        let lock = words[2]
        let owner = words.owner
        let choice = GrantChoice(
            token: words.option("token") == nil ? nil : words.token, owner: owner.map(word))
        let wait = words.limit("wait") ?? .forever
        switch words[1] {
        case "read", "update", "write":
            self = .acquire(
                lock, words.mode(words[1]), owner: owner ?? "-", wait: wait,
                lease: words.option("lease").flatMap { $0 == "forever" ? nil : words.duration($0) })
        case "upgrade": self = .upgrade(lock, choice, wait: wait)
        case "downgrade": self = .downgrade(lock, choice, to: words.mode(words.option("to") ?? "read"))
        case "release": self = .release(lock, choice)
        case "leave": self = .releaseAtEnd(lock, choice)
        case "releaseAll": self = .releaseAll(owner: owner ?? "-")
        case "renew": self = .renew(lock, choice, words.limit("lease"))
        case "cancel": self = words.option("tag").map(Self.cancelTagged) ?? .cancel(lock, owner: owner)
        case "validate": self = .validate(lock, words.token)
        case "revoke": self = .revoke(lock, words.token)
        case "recall": self = .setRecall(lock == "on")
        case let verb: fatalError("a timeline has no verb \(verb)")
        }
    }
}

/// The words of a step, with the meaning of each.
private struct TimelineWords {
    private let words: [Substring]

    init(_ text: String) { words = text.split(separator: " ") }

    /// The word at an index; empty beyond the last word.
    subscript(index: Int) -> String { words.dropFirst(index).first.map(String.init) ?? "" }

    var letter: Character { self[0].first ?? "?" }
    var owner: String? { self[0].split(separator: "/").dropFirst().first.map(String.init) }
    var token: Token { Token(rawValue: option("token").flatMap { UInt64($0) } ?? 0) }

    func option(_ key: String) -> String? {
        words.first { $0.hasPrefix(key + "=") }.map { String($0.dropFirst(key.count + 1)) }
    }

    func mode(_ word: String) -> LockMode {
        guard let mode = LockMode.allCases.first(where: { "\($0)" == word }) else {
            fatalError("not a mode: \(word)")
        }
        return mode
    }

    func limit(_ key: String) -> TimeLimit? {
        option(key).map { $0 == "forever" ? .forever : .upTo(duration($0)) }
    }

    func duration(_ word: String) -> Duration {
        let number = Int64(word.prefix { $0.isNumber }) ?? 0
        switch word.drop(while: \.isNumber) {
        case "h": return .seconds(3_600 * number)
        case "s": return .seconds(number)
        case "ms": return .milliseconds(number)
        case "us": return .microseconds(number)
        case "" where number == 0: return .zero
        case let unit: fatalError("not a unit of time: \(unit)")
        }
    }
}

extension Substring {
    /// The text without spaces at both ends.
    var trimmed: String {
        var rest = self
        while rest.first == " " { rest.removeFirst() }
        while rest.last == " " { rest.removeLast() }
        return String(rest)
    }
}
