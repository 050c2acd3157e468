import LockVocabulary
import LockWire

/// A line of the protocol, and the value that it spells.
///
/// The examples of every kind of line stand in a `switch` without `default`: a new request, reply, row or notice does
/// not compile before it has one. Round trips, the grammar and the tables of protocol.md, the manual page and the
/// words of the fuzzers are tested with them.
public struct Example<Value: Sendable>: Sendable, CustomStringConvertible {
    public let line: String
    public let value: Value

    init(_ line: String, _ value: Value) {
        self.line = line
        self.value = value
    }

    public var description: String { line }
}

/// All examples, by what they are.
public enum Examples {}

// What the examples are about.
let jobs = name("jobs")
let token = Token(rawValue: 42)
let owner = ownerID("t1")

let moment = Until(.seconds(8), from: Instant(nanoseconds: 123_456_789_000_000))

func name(_ text: String) -> LockName { word(text) { LockName($0) } }
func ownerID(_ text: String) -> OwnerID { word(text) { OwnerID($0) } }
func host(_ text: String) -> HostName { word(text) { HostName($0) } }
func tag(_ text: String) -> Tag { word(text) { Tag($0) } }
func note(_ text: String) -> Note { word(text) { Note(encoding: $0) } }

/// A value of the vocabulary by a spelling that is known to be right.
func word<Value>(_ text: String, _ make: (String) -> Value?) -> Value {
    guard let value = make(text) else { preconditionFailure("an example is misspelled: \(text)") }
    return value
}
