import LockVocabulary

/// Writes the fields of a fact as bytes: counts in base 128 with the lowest digit first (LEB128), instants and durations in
/// eight bytes, the lowest first, texts behind their length.
///
/// It writes to memory of its own without a check for each byte, because each request waits for its facts.
struct FactWriter: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private var capacity = 0
    private var count = 0

    /// The memory that an empty writer keeps.
    private static var usualCapacity: Int { 4_096 }

    deinit { base?.deallocate() }

    /// What was written since it was empty.
    @inline(__always)
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    @inline(__always)
    mutating func empty() {
        count = 0
        if capacity > Self.usualCapacity { shrink() }
    }

    @inline(never)
    private mutating func shrink() {
        base?.deallocate()
        base = nil
        capacity = 0
    }

    /// Room for more bytes behind those that were written.
    @inline(__always)
    private mutating func room(for more: Int) -> UnsafeMutableRawPointer {
        if let base, capacity - count >= more { return base + count }
        return grow(by: more)
    }

    @inline(never)
    private mutating func grow(by more: Int) -> UnsafeMutableRawPointer {
        let larger = max(Self.usualCapacity, 2 * capacity, count + more)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
        if let base { memory.copyMemory(from: base, byteCount: count) }
        base?.deallocate()
        base = memory
        capacity = larger
        return memory + count
    }

    @inline(__always)
    mutating func write(_ number: UInt64) {
        let room = room(for: 10)
        var left = number
        var length = 0
        while left >= 0x80 {
            room.storeBytes(of: UInt8(truncatingIfNeeded: left) | 0x80, toByteOffset: length, as: UInt8.self)
            left >>= 7
            length += 1
        }
        room.storeBytes(of: UInt8(truncatingIfNeeded: left), toByteOffset: length, as: UInt8.self)
        count += length + 1
    }

    /// Writes all of a number's bytes.
    @inline(__always)
    mutating func writeWhole(_ number: Int64) {
        room(for: 8).storeBytes(of: number.littleEndian, as: Int64.self)
        count += 8
    }

    @inline(__always)
    mutating func write(_ data: UnsafeRawBufferPointer) {
        write(data.count)
        append(data)
    }

    /// Writes bytes without their number.
    @inline(__always)
    mutating func append(_ data: UnsafeRawBufferPointer) {
        guard let start = data.baseAddress, !data.isEmpty else { return }
        room(for: data.count).copyMemory(from: start, byteCount: data.count)
        count += data.count
    }

    @inline(__always)
    mutating func write(_ number: UInt32) { write(UInt64(number)) }

    @inline(__always)
    mutating func write(_ number: Int) { write(UInt64(bitPattern: Int64(number))) }

    @inline(__always)
    mutating func write(_ flag: Bool) { write(UInt64(flag ? 1 : 0)) }

    @inline(__always)
    mutating func write(_ instant: Instant) { writeWhole(instant.nanoseconds) }

    @inline(__always)
    mutating func write(_ duration: Duration) { writeWhole(duration.wholeNanoseconds) }

    @inline(__always)
    mutating func write(_ text: String) {
        var copy = text
        copy.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    mutating func write(_ data: [UInt8]) { data.withUnsafeBytes { write($0) } }

    @inline(__always)
    mutating func append(_ data: ArraySlice<UInt8>) { data.withUnsafeBytes { append($0) } }

    @inline(__always)
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

    /// Whether all bytes were read.
    var isAtEnd: Bool { position == bytes.count }

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

    mutating func wholeNumber() throws(UnreadableFact) -> Int64 {
        guard bytes.count - position >= 8 else { throw UnreadableFact() }
        defer { position += 8 }
        return Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int64.self))
    }

    mutating func instant() throws(UnreadableFact) -> Instant { Instant(nanoseconds: try wholeNumber()) }

    mutating func duration() throws(UnreadableFact) -> Duration { .nanoseconds(try wholeNumber()) }

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
    @inline(__always)
    mutating func write(_ name: LockName) { name.withBytes { write($0) } }

    @inline(__always)
    mutating func write(_ note: Note) { write(note.text) }

    @inline(__always)
    mutating func write(_ owner: OwnerID) { write(owner.text) }

    @inline(__always)
    mutating func write(_ tag: Tag?) { write(tag?.text ?? "") }

    @inline(__always)
    mutating func write(_ token: Token) { write(token.rawValue) }

    @inline(__always)
    mutating func write(_ mode: LockMode) { write(UInt64(mode.rawValue)) }

    @inline(__always)
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
