import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Rendezvous

/// The completions that a shell offers: names of locks and of programs.
enum LockNames {
    static let completion = CompletionKind.custom { _, _, typed in beginning(with: typed) }

    /// For `run`: the lock's name, then a command.
    static let thenCommand = CompletionKind.custom { words, index, typed in
        let before = words.prefix(index).dropFirst()
        let options = LongOption.bySubcommand["run"] ?? []
        return hasName(before.drop { $0 != "run" }.dropFirst(), options)
            ? programs(beginningWith: typed) : beginning(with: typed)
    }

    /// The names of locks that are held, waited for or marked; empty if no daemon answers. Completion never starts a
    /// daemon.
    static func beginning(with typed: String) -> [String] {
        guard
            let prefix = LockName(encoding: ByteString.bytes(in: typed)).map(\.text)
                ?? (typed.isEmpty ? "" : nil)
        else {
            return []
        }
        var names: [String] = []
        var surroundings = Surroundings.current()
        surroundings.environment["PRWLOCK_AUTOSTART"] = "0"
        guard var connection = try? BlockingConnection(.find(in: surroundings), in: surroundings) else {
            return []
        }
        _ = try? connection.ask(.list(prefix: prefix, after: nil, limit: most)) { row in
            if case .lock(let lock) = row { names.append(NameAlphabet.decode(lock.name.text)) }
        }
        return names.filter(isHarmless)
    }

    /// Whether a shell may show the word. A shell writes completions to its terminal as they are.
    private static func isHarmless(_ word: String) -> Bool { Harmless.show(word) == word }

    /// A person does not read a longer list.
    private static let most = 200

    /// Whether the words after `run` include the lock's name, beside options and their values.
    static func hasName(_ words: ArraySlice<String>, _ options: [LongOption]) -> Bool {
        var words = words
        while let word = words.popFirst() {
            guard word.hasPrefix("-"), word.count > 1 else { return true }
            if word == "--" { return !words.isEmpty }
            let takesValue =
                word.hasPrefix("--")
                ? options.contains { $0.takesValue && $0.names.contains(String(word.dropFirst(2))) }
                : LetterOptions.parts(of: word).takesNextWord
            if takesValue { words = words.dropFirst() }
        }
        return false
    }

    /// The programs on `PATH`, without duplicates.
    static func programs(beginningWith typed: String) -> [String] {
        // The shell itself completes a word that contains a slash.
        let typed = String(decoding: ByteString.bytes(in: typed), as: UTF8.self)
        guard !typed.contains("/") else { return [] }
        var names: Set<String> = []
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        for folder in path.split(separator: ":") {
            for name in Directory.names(in: String(folder))
            where name.hasPrefix(typed) && !name.hasPrefix(".") && access("\(folder)/\(name)", X_OK) == 0 {
                names.insert(name)
            }
        }
        return names.filter(isHarmless).sorted()
    }
}
