import LockVocabulary

/// Text for a terminal, a pipe or the service manager: the only type that `StandardOutput` and `StandardError` write.
///
/// Every text that is put into it passes `Harmless`, so that no caller can forget that. Only the literal parts of this
/// program's source, and what `init(ofThisProgram:)` takes, may contain line feeds and escape sequences.
struct Shown: ExpressibleByStringInterpolation, Equatable {
    private(set) var text: String

    /// One line of text from anywhere.
    init(_ line: String) { text = Harmless.show(line) }

    /// Several lines of bytes from anywhere.
    init(lines: [UInt8]) {
        text = lines.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { Harmless.show(Array($0)) }.joined(separator: "\n")
    }

    /// Text that contains nothing from outside this program: its help, and the scripts for the completion of words.
    init(ofThisProgram text: String) { self.text = text }

    init(stringLiteral text: String) { self.text = text }

    init(stringInterpolation parts: StringInterpolation) { text = parts.text }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) {}

        mutating func appendLiteral(_ literal: String) { text += literal }
        mutating func appendInterpolation(_ shown: Shown) { text += shown.text }
        mutating func appendInterpolation(_ value: some CustomStringConvertible) {
            text += Harmless.show(value.description)
        }
    }

    static func + (first: Shown, second: Shown) -> Shown { Shown(ofThisProgram: first.text + second.text) }
    static func += (first: inout Shown, second: Shown) { first.text += second.text }
}
