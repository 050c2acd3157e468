/// The tag that a client puts before a request, without the `#`. The daemon repeats it before the reply.
public struct Tag: Hashable, Sendable, CustomStringConvertible {
    /// The word behind the `#`.
    public let text: String

    /// A tag; nil unless it is 1 to 32 letters, digits, dashes, underscores or points.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard isWord(bytes) else { return nil }
        text = String(asciiBytes: bytes)
    }

    /// A tag; nil unless it is 1 to 32 letters, digits, dashes, underscores or points.
    public init?(_ text: String) {
        var copy = text
        guard copy.withUTF8({ isWord(UnsafeRawBufferPointer($0)) }) else { return nil }
        self.text = text
    }

    /// The word with its `#`.
    public var description: String { "#\(text)" }
}

/// Whether the bytes are a tag or the id of an owner: 1 to 32 bytes of `A-Z a-z 0-9 - _ .`
func isWord(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard (1...32).contains(bytes.count) else { return false }
    return bytes.allSatisfy(isWordByte)
}

/// Whether a byte is one of `A-Z a-z 0-9 - _ .`
func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."):
        true
    default: false
    }
}
