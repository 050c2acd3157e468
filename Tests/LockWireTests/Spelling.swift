import LockVocabulary
import LockWire
import Testing

/// Parses a line of text.
func parse(_ line: String) -> Request.Parsed {
    Array(line.utf8).withUnsafeBytes { Request.parse($0) }
}

/// The request in a line of text.
func request(_ line: String) throws -> Request {
    let parsed = parse(line)
    guard case .request(let request) = parsed else {
        throw Unexpected(description: "\(line) is \(parsed)")
    }
    return request
}

/// The line that encodes a value, without its line feed.
func text(_ encode: (inout [UInt8]) -> Void) throws -> String {
    var bytes = Array("before\n".utf8)
    encode(&bytes)
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.hasPrefix("before\n"), "what stood there before is left alone")
    let line = text.dropFirst("before\n".count).dropLast()
    #expect(text.hasSuffix("\n") && !line.contains("\n"), "it is one line")
    return String(line)
}

/// The value that a client parses from a line.
func fromServer(_ line: String) -> ServerLine? {
    Array(line.utf8).withUnsafeBytes { ServerLine.parse($0) }
}

struct Unexpected: Error, CustomStringConvertible {
    let description: String
}

func name(_ text: String) throws -> LockName { try #require(LockName(text)) }
func owner(_ text: String) throws -> OwnerID { try #require(OwnerID(text)) }
func note(_ text: String) throws -> Note { try #require(Note(encoding: text)) }

/// A tag of the protocol; the test library has another type of that name.
func tag(_ text: String) throws -> LockVocabulary.Tag {
    let tag = LockVocabulary.Tag(text)
    return try #require(tag)
}

func token(_ number: UInt64) -> Token { Token(rawValue: number) }
