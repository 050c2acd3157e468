/// A message that is not what its type says.
struct MalformedMessage: Error, Equatable {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

/// Reads the fields of a message in protobuf's wire format, in the order in which they were written.
///
/// Any bytes may be read: what is not a message throws, and no length that a message gives is believed before it is
/// compared with the bytes that are left.
struct ProtobufReader {
    /// A field's value. What it means depends on the message.
    enum Value: Equatable {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)

        func number() throws(MalformedMessage) -> Int64 {
            guard case .number(let number) = self else {
                throw MalformedMessage("bytes where a number belongs")
            }
            return Int64(bitPattern: number)
        }

        func flag() throws(MalformedMessage) -> Bool { try number() != 0 }

        func bytes() throws(MalformedMessage) -> ArraySlice<UInt8> {
            guard case .bytes(let bytes) = self else { throw MalformedMessage("a number where bytes belong") }
            return bytes
        }

        func text() throws(MalformedMessage) -> String { String(decoding: try bytes(), as: UTF8.self) }
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// The next field; nil at the end of the message.
    mutating func next() throws(MalformedMessage) -> (field: UInt64, value: Value)? {
        guard !rest.isEmpty else { return nil }
        let key = try varint()
        guard key >> 3 != 0 else { throw MalformedMessage("a field without a number") }
        switch key & 7 {
        case 0: return (key >> 3, .number(try varint()))
        case 1: return (key >> 3, .number(Self.littleEndian(try take(8))))
        case 2: return (key >> 3, .bytes(try take(try varint())))
        case 5: return (key >> 3, .number(Self.littleEndian(try take(4))))
        // Groups (3 and 4) are in no message of etcd.
        default: throw MalformedMessage("a field of an unknown kind")
        }
    }

    private mutating func varint() throws(MalformedMessage) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 70, by: 7) {
            guard let byte = rest.popFirst() else { throw MalformedMessage("it ends within a number") }
            // Of the tenth byte only one bit has room.
            guard shift < 63 || byte <= 1 else { throw MalformedMessage("a number of more than 64 bits") }
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        throw MalformedMessage("a number of more than 64 bits")
    }

    private mutating func take(_ count: UInt64) throws(MalformedMessage) -> ArraySlice<UInt8> {
        guard count <= UInt64(rest.count) else { throw MalformedMessage("it ends within a field") }
        let taken = rest.prefix(Int(count))
        rest = rest.dropFirst(Int(count))
        return taken
    }

    private static func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
