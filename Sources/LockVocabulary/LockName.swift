/// The name of a lock: 1 to 255 bytes of the name alphabet.
///
/// The alphabet is `A-Z a-z 0-9 - . _ ~ / : @ + %`. Any other byte is written as `%` and two upper-case
/// hex digits. A byte of the alphabet, except `%` itself, is never written so: a name has one spelling.
///
/// Invariant: `text` obeys this rule.
public struct LockName: Hashable, Sendable {
    /// The spelling in the protocol.
    public let text: String

    /// The longest name, in bytes.
    public static let maximumLength = 255

    /// A name from its spelling in the protocol; nil if the text is not a name.
    public init?(_ text: String) {
        var copy = text
        let valid = copy.withUTF8 { NameAlphabet.isWellFormed(UnsafeRawBufferPointer($0)) }
        guard valid, text.utf8.count <= Self.maximumLength else { return nil }
        self.text = text
    }

    /// A name from its bytes in the protocol; nil if the bytes are not a name.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= Self.maximumLength, NameAlphabet.isWellFormed(bytes) else { return nil }
        text = String(asciiBytes: bytes)
    }

    /// A name from plain text, percent-encoded where needed; nil if the result is too long or empty.
    ///
    /// A percent sign is encoded as well, so the plain texts `a%20b` and `a b` are different names. Names are compared by
    /// bytes: `"\u{e9}"` and `"e\u{301}"` look the same, are equal as strings, and are two names.
    public init?(encoding text: String) {
        self.init(NameAlphabet.encode(text))
    }

    /// A name from plain bytes, which need not be UTF-8; nil if the result is too long or empty.
    public init?(encoding plain: some Sequence<UInt8>) {
        self.init(NameAlphabet.encode(plain))
    }

    /// A placeholder for a record without a name. The text is not checked.
    package init(unchecked text: String) { self.text = text }

    /// Calls the body with the name's bytes, without a copy if the string is not a small one.
    @inlinable
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var copy = text
        return copy.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }

    /// The plain text of the name; bytes that are not UTF-8 are replaced (U+FFFD).
    public var decoded: String { NameAlphabet.decode(text) }

    /// The plain bytes of the name.
    public var decodedBytes: [UInt8] { NameAlphabet.decodeBytes(text) }
}

extension LockName: Comparable {
    /// By bytes.
    public static func < (left: LockName, right: LockName) -> Bool { left.text < right.text }
}

extension LockName: CustomStringConvertible {
    /// The spelling in the protocol, which has no blank and no control byte.
    public var description: String { text }
}
