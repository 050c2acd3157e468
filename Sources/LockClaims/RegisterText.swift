import LockVocabulary

/// The spelling of a register: lines in a fixed order, of which each ends with a newline.
///
/// It is read as strictly as it is written: a value that breaks a rule or an invariant is no register, and its name is
/// refused until an administrator has looked at it. A guess could grant a lock twice.
extension Register {
    /// The register from its value; nil if it is not one.
    init?(text: [UInt8]) {
        var lines = Lines(text)
        guard lines.take() == ["prwlock-claim", "1"] else { return nil }
        while let words = lines.take() {
            switch (words.first, words.count) {
            case ("holds", 4):
                guard waiters.isEmpty, mark == nil, let mode = ClaimMode(word: words[1]),
                    let session = HostSession(words[2...])
                else { return nil }
                holders.append(Holder(mode: mode, session: session))
            case ("waits", 4...6):
                guard mark == nil, let mode = ClaimMode(word: words[1]),
                    let session = HostSession(words[2..<4])
                else { return nil }
                let flags = words[4...]
                guard
                    flags.isEmpty || flags == ["upgrade"] || flags == ["probe"]
                        || flags == ["upgrade", "probe"]
                else { return nil }
                let isUpgrade = flags.contains("upgrade")
                guard !isUpgrade || mode == .write && waiters.isEmpty else { return nil }
                waiters.append(
                    Waiter(
                        mode: mode, session: session, isUpgrade: isUpgrade, isProbe: flags.contains("probe")))
            case ("mark", 2):
                guard mark == nil, let mark = ClaimMark(rawValue: words[1]) else { return nil }
                self.mark = mark
            default: return nil
            }
        }
        guard lines.isComplete, !isEmpty,
            holders.count == 1 || !holders.contains(where: { $0.mode == .write }),
            Set(holders.map(\.session.host)).count == holders.count,
            Set(waiters.map(\.session.host)).count == waiters.count
        else { return nil }
    }

    var text: [UInt8] {
        var text = "prwlock-claim 1\n"
        for holder in holders { text += "holds \(holder.mode) \(holder.session)\n" }
        for waiter in waiters {
            text += "waits \(waiter.mode) \(waiter.session)"
            if waiter.isUpgrade { text += " upgrade" }
            if waiter.isProbe { text += " probe" }
            text += "\n"
        }
        if let mark { text += "mark \(mark.rawValue)\n" }
        return Array(text.utf8)
    }
}

extension ClaimMode {
    init?(word: String) {
        switch word {
        case "read": self = .read
        case "write": self = .write
        default: return nil
        }
    }
}

extension HostSession {
    /// A session from its two words.
    init?(_ words: ArraySlice<String>) {
        guard words.count == 2, let host = words.first.flatMap({ HostName($0) }),
            let number = words.last.flatMap({ Revision(canonical: $0) }), number > 0
        else { return nil }
        self.init(host: host, number: number)
    }
}

extension Revision {
    /// A number in its only spelling: no sign, no leading zero.
    init?(canonical text: String) {
        guard let number = Revision(text), String(number) == text, number >= 0 else { return nil }
        self = number
    }
}

/// The lines of a value, each as its words. Words are separated by one blank.
struct Lines {
    private var rest: ArraySlice<UInt8>
    /// Whether all was lines of ASCII.
    private(set) var isComplete: Bool

    init(_ text: [UInt8]) {
        rest = text[...]
        isComplete = text.allSatisfy { $0 == 0x0A || (0x20..<0x7F).contains($0) } && text.last == 0x0A
    }

    /// The words of the next line; nil at the end.
    mutating func take() -> [String]? {
        guard isComplete, let end = rest.firstIndex(of: 0x0A) else { return nil }
        let line = rest[..<end]
        rest = rest[(end + 1)...]
        return line.split(separator: 0x20, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
    }
}
