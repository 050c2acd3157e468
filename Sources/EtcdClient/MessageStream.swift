/// The messages of a gRPC stream, each after a byte for its compression and its length in four bytes.
struct MessageStream {
    /// The longest message that is accepted. Answers are far shorter, as what is listed is listed in parts.
    static let longest = 32 << 20

    private var buffer: [UInt8] = []

    /// A message as it is sent.
    static func frame(_ message: [UInt8]) -> [UInt8] {
        let count = UInt32(message.count)
        return [0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } + message
    }

    mutating func append(_ bytes: some Collection<UInt8>) { buffer += bytes }

    /// Whether part of a message is left.
    var isWithinMessage: Bool { !buffer.isEmpty }

    /// The next message that is complete; nil if none is.
    mutating func next() throws(MalformedMessage) -> ArraySlice<UInt8>? {
        guard buffer.count >= 5 else { return nil }
        guard buffer.first == 0 else {
            throw MalformedMessage("a compressed message, which was not asked for")
        }
        let length = Int(buffer[1..<5].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
        guard length <= Self.longest else { throw MalformedMessage("a message of \(length) bytes") }
        guard buffer.count >= 5 + length else { return nil }
        let message = buffer[5..<5 + length]
        // The slice keeps its bytes; what is left begins anew.
        buffer = [UInt8](buffer[(5 + length)...])
        return message
    }
}
