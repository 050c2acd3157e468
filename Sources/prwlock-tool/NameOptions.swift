import ArgumentParser
import LockVocabulary

/// The argument for a lock's name.
///
/// The argument is plain text of any bytes, encoded in the same way as in every client: `a%20b` is a name that contains
/// a percent sign. A name that is already encoded, such as one from the protocol or from JSON, needs `--encoded`.
struct NameOptions: ParsableArguments {
    @OptionGroup var encoding: EncodedFlag

    @Argument(help: ArgumentHelp("The lock's name.", valueName: "name"), completion: LockNames.completion)
    var word: ByteString

    func validate() throws { _ = try encoding.name(of: word) }

    var name: LockName {
        guard let name = try? encoding.name(of: word) else { preconditionFailure("the name was validated") }
        return name
    }
}

/// The argument for a lock's name, if it is optional.
struct OptionalNameOptions: ParsableArguments {
    @OptionGroup var encoding: EncodedFlag

    @Argument(help: ArgumentHelp("The lock's name.", valueName: "name"), completion: LockNames.completion)
    var word: ByteString?

    func validate() throws { if let word { _ = try encoding.name(of: word) } }

    var name: LockName? { word.flatMap { try? encoding.name(of: $0) } }
}

/// The argument for a prefix of names; without it, the prefix is empty and matches all names.
struct PrefixOptions: ParsableArguments {
    @OptionGroup var encoding: EncodedFlag

    @Argument(
        help: ArgumentHelp("Only the locks whose names begin so.", valueName: "prefix"),
        completion: LockNames.completion)
    var word: ByteString?

    /// The prefix in the encoding of the protocol.
    var prefix: String {
        guard let word else { return "" }
        return encoding.isEncoded ? word.shown : NameAlphabet.encode(word.bytes)
    }
}

/// The flag for names that are already encoded.
struct EncodedFlag: ParsableArguments {
    @Flag(
        name: .customLong("encoded"),
        help: "The name is encoded already: %20 is a space.")
    var isEncoded = false

    /// Converts a word to a name.
    func name(of word: ByteString) throws -> LockName {
        if let name = LockName(typed: word, isEncoded: isEncoded) { return name }
        throw ValidationError(
            isEncoded
                ? "'\(word.shown)' is not an encoded name"
                : "a lock's name has 1 to 255 bytes once it is encoded")
    }
}

extension LockName {
    /// The name that a word of the command line spells; nil if it spells none.
    init?(typed word: ByteString, isEncoded: Bool) {
        guard isEncoded else {
            self.init(encoding: word.bytes)
            return
        }
        guard let name = word.text.flatMap({ LockName($0) }) else { return nil }
        self = name
    }

    /// The plain name for people, with harmful characters escaped.
    var shown: String { Harmless.show(decodedBytes) }

    /// The name as a person can type it in a shell, after a subcommand.
    var typed: String {
        if text.contains("%") { return "--encoded \(text)" }
        if text.hasPrefix("-") { return "-- \(text)" }
        return text.hasPrefix("~") ? "'\(text)'" : text
    }
}
