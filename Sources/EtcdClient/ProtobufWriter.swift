/// Writes a message of protobuf's wire format: fields, each a number with a value.
///
/// A number that is zero, and bytes that are empty, are left out, as proto3 does: absent is the same as that.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    /// The kinds of values that etcd's messages use. The reader knows the others too.
    private enum WireType: UInt64 {
        case varint = 0
        case lengthDelimited = 2
    }

    mutating func add(_ field: UInt64, _ number: Int64) {
        guard number != 0 else { return }
        addKey(field, .varint)
        // A negative number takes ten bytes: its two's complement in 64 bits.
        addVarint(UInt64(bitPattern: number))
    }

    mutating func add(_ field: UInt64, _ flag: Bool) { add(field, flag ? 1 : 0) }

    mutating func add(_ field: UInt64, _ value: [UInt8]) {
        guard !value.isEmpty else { return }
        addKey(field, .lengthDelimited)
        addVarint(UInt64(value.count))
        bytes += value
    }

    mutating func add(_ field: UInt64, _ text: String) { add(field, [UInt8](text.utf8)) }

    /// Adds a message within the message. It is written even if it is empty, because its presence may be all that it says.
    mutating func add(_ field: UInt64, _ body: (inout ProtobufWriter) -> Void) {
        var inner = ProtobufWriter()
        body(&inner)
        addKey(field, .lengthDelimited)
        addVarint(UInt64(inner.bytes.count))
        bytes += inner.bytes
    }

    private mutating func addKey(_ field: UInt64, _ type: WireType) { addVarint(field << 3 | type.rawValue) }

    /// Seven bits in a byte, the lowest first; the top bit says that more follow.
    private mutating func addVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
