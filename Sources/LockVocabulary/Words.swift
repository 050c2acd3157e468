/// A word that a client chooses, echoed by the daemon: 1 to 32 bytes out of `A-Z a-z 0-9 - _ .`
private func isWord(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard (1...32).contains(bytes.count) else { return false }
    return bytes.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "."):
            true
        default: false
        }
    }
}

/// What a client puts before a request, without the `#`, to know the reply by.
public struct Tag: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    /// Nil unless it is 1 to 32 letters, digits, dashes, underscores or points.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard isWord(bytes) else { return nil }
        text = String(asciiBytes: bytes)
    }

    /// Nil unless it is 1 to 32 letters, digits, dashes, underscores or points.
    public init?(_ text: String) {
        var copy = text
        guard copy.withUTF8({ isWord(UnsafeRawBufferPointer($0)) }) else { return nil }
        self.text = text
    }

    public var description: String { "#\(text)" }
}

/// Who asks within a session: a thread or a task by its word, or the session itself, written `-`.
public struct OwnerID: Hashable, Sendable, CustomStringConvertible {
    /// The owner's word; empty for the session itself.
    public let text: String

    /// The session itself, for clients that name no owners.
    public static var session: OwnerID { OwnerID(unchecked: "") }

    private init(unchecked text: String) { self.text = text }

    /// Nil unless it is `-` or 1 to 32 letters, digits, dashes, underscores or points.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard isWord(bytes) else { return nil }
        let isSession = bytes.count == 1 && bytes[0] == UInt8(ascii: "-")
        text = isSession ? "" : String(asciiBytes: bytes)
    }

    /// Nil unless it is `-` or 1 to 32 letters, digits, dashes, underscores or points.
    public init?(_ text: String) {
        var copy = text
        guard copy.withUTF8({ isWord(UnsafeRawBufferPointer($0)) }) else { return nil }
        self.text = text == "-" ? "" : text
    }

    /// Whether this is the session itself.
    public var isSession: Bool { text.isEmpty }

    public var description: String { isSession ? "-" : text }
}

/// What a holder says of itself to whoever asks: a name's alphabet and spelling, up to 255 bytes; may be empty.
public struct Note: Hashable, Sendable, CustomStringConvertible {
    /// The note as it stands in the protocol; empty if there is none.
    public let text: String

    /// No note, written `-`.
    public static var none: Note { Note(unchecked: "") }

    private init(unchecked text: String) { self.text = text }

    /// Nil if the bytes are not a note; `-` is none.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= LockName.maximumLength, NameAlphabet.isWellFormed(bytes) else { return nil }
        let isNone = bytes.count == 1 && bytes[0] == UInt8(ascii: "-")
        text = isNone ? "" : String(asciiBytes: bytes)
    }

    /// A note from any text, percent-encoded where needed; nil if the result is longer than 255 bytes.
    public init?(encoding text: String) { self.init(encoding: text.utf8) }

    /// A note from any bytes, percent-encoded where needed; nil if the result is longer than 255 bytes.
    public init?(encoding plain: some Sequence<UInt8>) {
        let spelled = NameAlphabet.encode(plain)
        guard spelled.utf8.count <= LockName.maximumLength else { return nil }
        self.text = spelled
    }

    public var isEmpty: Bool { text.isEmpty }

    public var description: String { isEmpty ? "-" : text }
}
