import LockVocabulary

/// A value that may stand in a line, with its one spelling.
protocol Spelled {
    /// The value of these bytes; nil if they spell none.
    init?(spelled bytes: UnsafeRawBufferPointer)

    /// Writes the value.
    func spell(into line: inout LineWriter)
}

// MARK: - The vocabulary

extension LockName: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) { self.init(bytes: bytes) }
    func spell(into line: inout LineWriter) { line.put(text: text) }
}

extension LockMode: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        guard let mode = Self.allCases.first(where: { bytes.spells($0.word) }) else { return nil }
        self = mode
    }
    func spell(into line: inout LineWriter) { line.put(word) }
}

extension HostName: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) { self.init(bytes: bytes) }
    func spell(into line: inout LineWriter) { line.put(text: text) }
}

extension OwnerID: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) { self.init(bytes: bytes) }
    func spell(into line: inout LineWriter) { if isSession { line.put("-") } else { line.put(text: text) } }
}

extension Note: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) { self.init(bytes: bytes) }
    func spell(into line: inout LineWriter) { if isEmpty { line.put("-") } else { line.put(text: text) } }
}

extension Tag: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        guard bytes.first == UInt8(ascii: "#") else { return nil }
        self.init(bytes: bytes.part(1, bytes.count))
    }
    func spell(into line: inout LineWriter) {
        line.put("#")
        line.put(text: text)
    }
}

extension Token: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        guard let number = bytes.decimal(), number > 0 else { return nil }
        self.init(rawValue: number)
    }
    func spell(into line: inout LineWriter) { line.put(number: rawValue) }
}

extension ChangeKind: Spelled {}

extension WaitRank: Spelled {}
extension HotRank: Spelled {}

// MARK: - Numbers and words

extension Spelled where Self: RawRepresentable<String> {
    init?(spelled bytes: UnsafeRawBufferPointer) { self.init(rawValue: bytes.text) }
    func spell(into line: inout LineWriter) { line.put(text: rawValue) }
}

extension Spelled where Self: FixedWidthInteger {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        guard let number = bytes.decimal() else { return nil }
        self.init(exactly: number)
    }
    func spell(into line: inout LineWriter) { line.put(number: UInt64(clamping: self)) }
}

extension Int: Spelled {}
extension UInt32: Spelled {}
extension UInt64: Spelled {}

extension Bool: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        guard bytes.spells("0") || bytes.spells("1") else { return nil }
        self = bytes.spells("1")
    }
    func spell(into line: inout LineWriter) { line.put(self ? "1" : "0") }
}

extension String: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) { self = bytes.text }
    func spell(into line: inout LineWriter) { line.put(text: self) }
}

/// A value that may be missing, which is spelled `-`.
extension Optional: Spelled where Wrapped: Spelled {
    init?(spelled bytes: UnsafeRawBufferPointer) {
        if bytes.spells("-") {
            self = .none
        } else {
            guard let value = Wrapped(spelled: bytes) else { return nil }
            self = .some(value)
        }
    }
    func spell(into line: inout LineWriter) { if let self { self.spell(into: &line) } else { line.put("-") } }
}

/// A process id, or `?` for a process that the daemon cannot see.
struct ProcessNumber: Spelled {
    let id: Int32?

    init(_ id: Int32?) { self.id = id }

    init?(spelled bytes: UnsafeRawBufferPointer) {
        if bytes.spells("?") {
            id = nil
        } else {
            guard let number = bytes.decimal(), let id = Int32(exactly: number) else { return nil }
            self.id = id
        }
    }
    func spell(into line: inout LineWriter) {
        if let id { line.put(number: UInt64(clamping: id)) } else { line.put("?") }
    }
}
