public import LockVocabulary

/// One line from the daemon, understood.
public enum ServerLine: Hashable, Sendable {
    case reply(Tag?, Reply)
    case row(Row)
    case notice(Notice)

    /// Reads a line, without its line end; nil if this version of the protocol has no such line.
    ///
    /// Fields that a newer daemon adds at the end of a line are passed over.
    public static func parse(_ line: UnsafeRawBufferPointer) -> ServerLine? {
        guard let first = line.first else { return nil }
        switch first {
        case UInt8(ascii: "*"):
            var words = Words(line)
            guard words.next()?.count == 1 else { return nil }
            return Row(words).map(ServerLine.row)
        case UInt8(ascii: "!"):
            var fields = Fields(line)
            guard fields.next()?.count == 1 else { return nil }
            return Notice(&fields).map(ServerLine.notice)
        case UInt8(ascii: "#"):
            var words = Words(line)
            guard let word = words.next(), let tag = Tag(bytes: word.part(1, word.count)) else { return nil }
            return Reply(words.rest()).map { .reply(tag, $0) }
        default:
            return Reply(line).map { .reply(nil, $0) }
        }
    }
}

/// The fields of a line from the daemon, in their order.
struct Fields {
    private var words: Words

    init(_ words: Words) { self.words = words }
    init(_ line: UnsafeRawBufferPointer) { words = Words(line) }

    mutating func next() -> UnsafeRawBufferPointer? { words.next() }

    /// All that is left, spaces within it included.
    mutating func rest() -> UnsafeRawBufferPointer { words.rest() }

    /// The next field's value, if its key is this.
    mutating func value(_ key: StaticString) -> UnsafeRawBufferPointer? {
        guard let field = words.next(), let equals = field.offset(of: UInt8(ascii: "=")),
            field.part(0, equals).spells(key)
        else { return nil }
        return field.part(equals + 1, field.count)
    }

    mutating func name() -> LockName? { next().flatMap(LockName.init(bytes:)) }
    mutating func mode() -> LockMode? { next().flatMap(LockMode.init(word:)) }
    mutating func token() -> Token? { value("token").flatMap(Token.init(decimal:)) }
    mutating func count(_ key: StaticString) -> Int? { value(key)?.decimal().flatMap(Int.init(exactly:)) }
    mutating func duration(_ key: StaticString) -> Duration? {
        value(key).flatMap(Milliseconds.init(age:))?.duration
    }

    /// The next field as a process id; nil if it is none, and an empty optional if it is `?`.
    mutating func processID() -> Int32?? { value("pid").flatMap(Int32.processID) }
}

extension Int32 {
    /// A process id, or none for `?`; nil if it is neither.
    static func processID(_ bytes: UnsafeRawBufferPointer) -> Int32?? {
        if bytes.spells("?") { return .some(nil) }
        guard let number = bytes.decimal(), let processID = Int32(exactly: number) else { return nil }
        return .some(processID)
    }
}

extension Token {
    /// A token in decimal; nil if it is none.
    init?(decimal bytes: UnsafeRawBufferPointer) {
        guard let number = bytes.decimal(), number > 0 else { return nil }
        self.init(rawValue: number)
    }
}

extension LockMode {
    /// The mode with this word.
    init?(word: UnsafeRawBufferPointer) {
        if word.spells("read") {
            self = .read
        } else if word.spells("write") {
            self = .write
        } else if word.spells("update") {
            self = .update
        } else {
            return nil
        }
    }
}
