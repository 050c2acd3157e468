/// A client's description of a request or of itself, shown in lists: up to 255 bytes in the alphabet of names, or empty.
public struct Note: Hashable, Sendable, CustomStringConvertible {
    /// The spelling in the protocol; empty without a note.
    public let text: String

    /// No note, written `-`.
    public static var none: Note { Note(unchecked: "") }

    private init(unchecked text: String) { self.text = text }

    /// A note from its bytes in the protocol; nil if they are not one. `-` is no note.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= LockName.maximumLength, NameAlphabet.isWellFormed(bytes) else { return nil }
        let isNone = bytes.count == 1 && bytes[0] == UInt8(ascii: "-")
        text = isNone ? "" : String(asciiBytes: bytes)
    }

    /// A note from plain text, percent-encoded where needed; nil if the result is longer than 255 bytes.
    public init?(encoding text: String) { self.init(encoding: text.utf8) }

    /// A note from plain bytes, percent-encoded where needed; nil if the result is longer than 255 bytes.
    public init?(encoding plain: some Sequence<UInt8>) {
        let spelled = NameAlphabet.encode(plain)
        guard spelled.utf8.count <= LockName.maximumLength else { return nil }
        self.text = spelled
    }

    /// Whether there is no note.
    public var isEmpty: Bool { text.isEmpty }

    /// The spelling in the protocol; `-` for no note.
    public var description: String { isEmpty ? "-" : text }
}
