import ArgumentParser
import LockVocabulary

/// A lock's name on the command line.
///
/// It is plain text of any bytes and is encoded in one way, the same as in every client: `a%20b` is a name with a
/// percent sign in it. A name that is encoded already, such as one out of the protocol or out of JSON, needs
/// `--encoded`.
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

/// A lock's name on the command line, or none.
struct OptionalNameOptions: ParsableArguments {
    @OptionGroup var encoding: EncodedFlag

    @Argument(help: ArgumentHelp("The lock's name.", valueName: "name"), completion: LockNames.completion)
    var word: ByteString?

    func validate() throws { if let word { _ = try encoding.name(of: word) } }

    var name: LockName? { word.flatMap { try? encoding.name(of: $0) } }
}

/// The beginning of names on the command line; empty for all names.
struct PrefixOptions: ParsableArguments {
    @OptionGroup var encoding: EncodedFlag

    @Argument(
        help: ArgumentHelp("Only the locks whose names begin so.", valueName: "prefix"),
        completion: LockNames.completion)
    var word: ByteString?

    /// As the protocol has it.
    var prefix: String {
        guard let word else { return "" }
        return encoding.isEncoded ? word.shown : NameAlphabet.encode(word.bytes)
    }
}

/// Whether names are encoded already.
struct EncodedFlag: ParsableArguments {
    @Flag(
        name: .customLong("encoded"),
        help: "The name is encoded already: %20 is a space.")
    var isEncoded = false

    /// The name that a word stands for.
    func name(of word: ByteString) throws -> LockName {
        if isEncoded {
            guard let name = word.text.flatMap({ LockName($0) }) else {
                throw ValidationError("'\(word.shown)' is not an encoded name")
            }
            return name
        }
        guard let name = LockName(encoding: word.bytes) else {
            throw ValidationError("a lock's name has 1 to 255 bytes once it is encoded")
        }
        return name
    }
}

extension LockName {
    /// The plain name for people, harmless for a terminal.
    var shown: String { Harmless.show(decodedBytes) }

    /// The name as it can be typed into a shell after a subcommand.
    var typed: String {
        if text.contains("%") { return "--encoded \(text)" }
        if text.hasPrefix("-") { return "-- \(text)" }
        return text.hasPrefix("~") ? "'\(text)'" : text
    }
}
