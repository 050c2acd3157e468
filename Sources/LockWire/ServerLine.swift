public import LockVocabulary

/// One line from the daemon.
public enum ServerLine: Hashable, Sendable {
    case reply(Tag?, Reply)
    case row(Row)
    case notice(Notice)

    /// Reads a line, without its line end; nil if this version of the protocol has no such line.
    ///
    /// Ignores fields that a newer daemon adds at the end of a line.
    public static func parse(_ line: UnsafeRawBufferPointer) -> ServerLine? {
        var fields = Fields(line)
        if fields.take("*") { return Row(&fields).map(ServerLine.row) }
        if fields.take("!") { return Notice.forms.read(&fields).map(ServerLine.notice) }
        var tag: Tag?
        if line.first == UInt8(ascii: "#") {
            tag = try? fields.next()
            guard tag != nil else { return nil }
        }
        return Reply.forms.read(&fields).map { .reply(tag, $0) }
    }
}

/// A kind of reply, row or notice: its first word, and how its fields are read.
struct LineForm<Value>: Sendable {
    let word: StaticString
    let read: @Sendable (inout Fields) throws -> Value

    init(_ word: StaticString, _ read: @escaping @Sendable (inout Fields) throws -> Value) {
        self.word = word
        self.read = read
    }
}

extension Array {
    /// Reads a line by the form that has its first word; nil if there is none, or if the fields do not fit it.
    func read<Value>(_ fields: inout Fields) -> Value? where Element == LineForm<Value> {
        guard let word = fields.nextWord(), let form = first(where: { word.spells($0.word) }) else {
            return nil
        }
        return try? form.read(&fields)
    }
}

/// The fields of a line from the daemon, in their order.
struct Fields {
    /// A field that is missing, or is not what its place asks for.
    struct Misfit: Error {}

    private var words: LineWords

    init(_ line: UnsafeRawBufferPointer) { words = LineWords(line) }

    mutating func nextWord() -> UnsafeRawBufferPointer? { words.next() }

    /// Reads the next field.
    mutating func next<Value: Spelled>() throws -> Value {
        guard let field = words.next(), let value = Value(spelled: field) else { throw Misfit() }
        return value
    }

    /// Reads the value of the next field, which must have this key.
    mutating func value<Value: Spelled>(_ key: StaticString) throws -> Value {
        guard let field = words.next(), let equals = field.offset(of: UInt8(ascii: "=")),
            field.part(0, equals).spells(key), let value = Value(spelled: field.part(equals + 1, field.count))
        else { throw Misfit() }
        return value
    }

    mutating func processID() throws -> Int32? { (try value("pid") as ProcessNumber).id }

    mutating func age(_ key: StaticString) throws -> Duration { (try value(key) as Age).duration }

    /// Reads a field that only newer daemons send; nil, and nothing is taken, if it does not come next.
    mutating func ifNext<Value>(_ read: (inout Fields) throws -> Value) -> Value? {
        var rest = self
        guard let value = try? read(&rest) else { return nil }
        self = rest
        return value
    }

    /// Takes the next field if it is this word; returns whether it was.
    mutating func take(_ word: StaticString) -> Bool {
        var rest = words
        guard let field = rest.next(), field.spells(word) else { return false }
        words = rest
        return true
    }

    /// Takes all that is left, with the spaces in it.
    mutating func rest() -> String { words.rest().text }
}
