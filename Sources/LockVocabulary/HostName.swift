/// The name of a host in a fleet: 1 to 64 letters, digits, dashes, underscores or points, of which the first is a letter or a
/// digit. So no name is `-`, which stands for no host.
public struct HostName: Hashable, Sendable, CustomStringConvertible {
    /// The name.
    public let text: String

    /// The largest number of bytes of a name.
    public static let longest = 64

    /// A name; nil unless the bytes are well formed.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard (1...Self.longest).contains(bytes.count), bytes.allSatisfy(isWordByte), let first = bytes.first,
            !"-_.".utf8.contains(first)
        else { return nil }
        text = String(asciiBytes: bytes)
    }

    /// A name; nil unless the text is well formed.
    public init?(_ text: String) {
        var copy = text
        guard let name = copy.withUTF8({ HostName(bytes: UnsafeRawBufferPointer($0)) }) else { return nil }
        self = name
    }

    /// The name.
    public var description: String { text }
}

extension HostName: Comparable {
    /// In the order of their bytes.
    public static func < (left: HostName, right: HostName) -> Bool { left.text < right.text }
}
