/// The id of an owner: the word by which a client names a thread or a task, or `-` for the session itself.
public struct OwnerID: Hashable, Sendable, CustomStringConvertible {
    /// The word; empty for the session itself.
    public let text: String

    /// The session itself, which is the owner where a client names none.
    public static var session: OwnerID { OwnerID(unchecked: "") }

    private init(unchecked text: String) { self.text = text }

    /// An id; nil unless it is `-` or 1 to 32 letters, digits, dashes, underscores or points.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard isWord(bytes) else { return nil }
        let isSession = bytes.count == 1 && bytes[0] == UInt8(ascii: "-")
        text = isSession ? "" : String(asciiBytes: bytes)
    }

    /// An id; nil unless it is `-` or 1 to 32 letters, digits, dashes, underscores or points.
    public init?(_ text: String) {
        var copy = text
        guard copy.withUTF8({ isWord(UnsafeRawBufferPointer($0)) }) else { return nil }
        self.text = text == "-" ? "" : text
    }

    /// Whether this is the session itself.
    public var isSession: Bool { text.isEmpty }

    /// The word; `-` for the session itself.
    public var description: String { isSession ? "-" : text }
}
