import LockVocabulary

/// Writes the fields of a fact as bytes: numbers in base 128 with the lowest digit first (LEB128), texts behind their length.
struct FactWriter {
    private(set) var bytes: [UInt8] = []

    mutating func empty() { bytes.removeAll(keepingCapacity: bytes.capacity <= 4_096) }

    @inline(__always)
    mutating func write(_ number: UInt64) {
        var left = number
        while left >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: left) | 0x80)
            left >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: left))
    }

    mutating func write(_ number: UInt32) { write(UInt64(number)) }

    mutating func write(_ number: Int) { write(UInt64(bitPattern: Int64(number))) }

    mutating func write(_ flag: Bool) { bytes.append(flag ? 1 : 0) }

    mutating func write(_ instant: Instant) { write(UInt64(bitPattern: instant.nanoseconds)) }

    mutating func write(_ duration: Duration) { write(UInt64(bitPattern: duration.wholeNanoseconds)) }

    mutating func write(_ text: String) {
        var copy = text
        copy.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    mutating func write(_ data: UnsafeRawBufferPointer) {
        write(data.count)
        bytes.append(contentsOf: data)
    }

    mutating func write(_ data: some Collection<UInt8>) {
        write(data.count)
        bytes.append(contentsOf: data)
    }

    mutating func write<Value>(_ value: Value?, _ body: (inout FactWriter, Value) -> Void) {
        write(value != nil)
        if let value { body(&self, value) }
    }
}

/// The bytes of a fact do not describe one: a fault of this program, or of the memory.
struct UnreadableFact: Error {}

/// Reads what `FactWriter` wrote.
struct FactReader {
    private let bytes: UnsafeRawBufferPointer
    /// How many bytes were read.
    private var position = 0

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// What the bytes of a fact say; nil if they do not say it, or more.
    @inline(__always)
    static func value<Value>(
        of bytes: UnsafeRawBufferPointer, _ read: (inout FactReader) throws(UnreadableFact) -> Value
    ) -> Value? {
        var reader = FactReader(bytes)
        guard let value = try? read(&reader), reader.position == bytes.count else { return nil }
        return value
    }

    @inline(__always)
    private mutating func byte() throws(UnreadableFact) -> UInt8 {
        guard position < bytes.count else { throw UnreadableFact() }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func number() throws(UnreadableFact) -> UInt64 {
        var number: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try byte()
            guard shift < 63 || shift == 63 && byte <= 1 else { throw UnreadableFact() }
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
            shift += 7
        }
    }

    mutating func number32() throws(UnreadableFact) -> UInt32 {
        guard let number = UInt32(exactly: try number()) else { throw UnreadableFact() }
        return number
    }

    mutating func count() throws(UnreadableFact) -> Int {
        guard let count = Int(exactly: try number()) else { throw UnreadableFact() }
        return count
    }

    mutating func flag() throws(UnreadableFact) -> Bool {
        let byte = try byte()
        guard byte <= 1 else { throw UnreadableFact() }
        return byte == 1
    }

    mutating func instant() throws(UnreadableFact) -> Instant {
        Instant(nanoseconds: Int64(bitPattern: try number()))
    }

    mutating func duration() throws(UnreadableFact) -> Duration {
        .nanoseconds(Int64(bitPattern: try number()))
    }

    mutating func data() throws(UnreadableFact) -> UnsafeRawBufferPointer {
        let count = try count()
        guard count <= bytes.count - position else { throw UnreadableFact() }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    mutating func text() throws(UnreadableFact) -> String {
        String(decoding: try data(), as: UTF8.self)
    }

    mutating func optional<Value>(
        _ body: (inout FactReader) throws(UnreadableFact) -> Value
    ) throws(UnreadableFact) -> Value? {
        try flag() ? try body(&self) : nil
    }

    mutating func list<Value>(
        _ body: (inout FactReader) throws(UnreadableFact) -> Value
    ) throws(UnreadableFact) -> [Value] {
        var list: [Value] = []
        for _ in 0..<(try count()) { list.append(try body(&self)) }
        return list
    }
}

// MARK: - The vocabulary

extension FactWriter {
    mutating func write(_ name: LockName) { name.withBytes { write($0) } }

    mutating func write(_ note: Note) { write(note.text) }

    mutating func write(_ owner: OwnerID) { write(owner.text) }

    mutating func write(_ tag: Tag?) { write(tag?.text ?? "") }

    mutating func write(_ token: Token) { write(token.rawValue) }

    mutating func write(_ mode: LockMode) { write(UInt64(mode.rawValue)) }

    mutating func write(_ limit: TimeLimit) { write(limit.duration) { $0.write($1) } }
}

extension FactReader {
    mutating func name() throws(UnreadableFact) -> LockName {
        guard let name = LockName(bytes: try data()) else { throw UnreadableFact() }
        return name
    }

    mutating func note() throws(UnreadableFact) -> Note {
        let bytes = try data()
        if bytes.isEmpty { return .none }
        guard let note = Note(bytes: bytes) else { throw UnreadableFact() }
        return note
    }

    mutating func owner() throws(UnreadableFact) -> OwnerID {
        let bytes = try data()
        if bytes.isEmpty { return .session }
        guard let owner = OwnerID(bytes: bytes) else { throw UnreadableFact() }
        return owner
    }

    mutating func tag() throws(UnreadableFact) -> Tag? {
        let bytes = try data()
        if bytes.isEmpty { return nil }
        guard let tag = Tag(bytes: bytes) else { throw UnreadableFact() }
        return tag
    }

    mutating func token() throws(UnreadableFact) -> Token { Token(rawValue: try number()) }

    mutating func mode() throws(UnreadableFact) -> LockMode {
        guard let raw = LockMode.RawValue(exactly: try number()), let mode = LockMode(rawValue: raw)
        else { throw UnreadableFact() }
        return mode
    }

    mutating func limit() throws(UnreadableFact) -> TimeLimit {
        TimeLimit(try optional { reader throws(UnreadableFact) in try reader.duration() })
    }
}
