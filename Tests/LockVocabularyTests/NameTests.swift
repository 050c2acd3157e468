import Foundation
import LockVocabulary
import Testing

@Suite("Names, notes and words") struct NameTests {
    @Test(
        "one name has one spelling",
        arguments: ["a", "jobs", "a/b:c@d+e~f-g.h_i", "%20", "%25", "%00", "caf%C3%A9", "0"])
    func names(text: String) {
        #expect(LockName(text)?.text == text)
        #expect(LockName(text).flatMap { LockName(encoding: $0.decoded) }?.text == text)
    }

    @Test(
        "invalid names are refused: bytes that need an escape, needless escapes, lower-case digits, truncated escapes",
        arguments: ["", " ", "a b", "é", "%41", "%2f", "%2", "%", "a%", "%zz", "a=b", "#a", "*", "\n", "a\0"])
    func notNames(text: String) {
        #expect(LockName(text) == nil)
    }

    @Test("a name has at most 255 bytes in its encoded form") func length() {
        #expect(LockName(String(repeating: "x", count: 255)) != nil)
        #expect(LockName(String(repeating: "x", count: 256)) == nil)
        #expect(LockName(encoding: String(repeating: " ", count: 85)) != nil)
        #expect(LockName(encoding: String(repeating: " ", count: 86)) == nil)
        #expect(LockName(encoding: "") == nil)
    }

    @Test("each byte is judged alike at each place of a name of each length") func places() {
        let alphabet = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:@+".utf8)
        for count in 1...20 {
            for place in 0..<count {
                for byte in UInt8.min...UInt8.max {
                    var bytes = Array("jobs/of:An_hour-9.30".utf8.prefix(count))
                    bytes[place] = byte
                    let name = bytes.withUnsafeBytes { LockName(bytes: $0) }
                    #expect((name != nil) == alphabet.contains(byte), "\(byte) at \(place) of \(count)")
                }
            }
        }
    }

    @Test("every byte can be encoded and decoded") func everyByte() {
        for scalar in UInt8.min...UInt8.max {
            let bytes = [UInt8(ascii: "a"), scalar]
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(LockName(encoding: text)?.decoded == text)
        }
    }

    /// The lines of `Tests/names.tsv`: the plain bytes in hexadecimal digits, a tab, the encoded name.
    ///
    /// The tests of every client use this table.
    private func table() throws -> [(plain: [UInt8], encoded: String)] {
        let path = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let text = try String(contentsOfFile: "/\(path)/names.tsv", encoding: .utf8)
        return try text.split(separator: "\n").map { line in
            let fields = line.split(separator: "\t")
            try #require(fields.count == 2)
            var plain: [UInt8] = []
            var rest = fields[0]
            while !rest.isEmpty {
                plain.append(try #require(UInt8(rest.prefix(2), radix: 16)))
                rest = rest.dropFirst(2)
            }
            return (plain, String(fields[1]))
        }
    }

    @Test("all clients encode any bytes alike, and decoding returns the bytes")
    func agreement() throws {
        let table = try table()
        #expect(table.count > 256)
        for (plain, encoded) in table {
            #expect(LockName(encoding: plain)?.text == encoded)
            #expect(LockName(encoded)?.decodedBytes == plain)
            #expect(Note(encoding: plain)?.text == encoded)
            guard let text = String(validating: plain, as: UTF8.self) else { continue }
            #expect(LockName(encoding: text)?.text == encoded)
            #expect(LockName(encoded)?.decoded == text)
        }
    }

    @Test("names are ordered by their bytes") func order() {
        let names = ["z", "a/1", "a", "B", "a-1", "%20", "a/10", "~"].compactMap { LockName($0) }
        #expect(names.sorted().map(\.text) == ["%20", "B", "a", "a-1", "a/1", "a/10", "z", "~"])
    }

    @Test("a note is encoded like a name; - means no note") func notes() {
        func note(_ text: String) -> Note? { Array(text.utf8).withUnsafeBytes { Note(bytes: $0) } }
        #expect(note("nightly")?.text == "nightly")
        #expect(note("-") == Note.none && Note.none.description == "-" && Note.none.isEmpty)
        #expect(note("") == nil && note("a b") == nil && note(String(repeating: "x", count: 256)) == nil)
        #expect(Note(encoding: "for Anna")?.text == "for%20Anna")
    }

    @Test("tags and owners are words of 1 to 32 bytes; the owner - is the session itself") func words() {
        #expect(Tag("r-1_2.3")?.description == "#r-1_2.3")
        for text in ["", "a/b", "a b", "#a", String(repeating: "x", count: 33)] {
            #expect(Tag(text) == nil && OwnerID(text) == nil)
        }
        #expect(Tag(String(repeating: "x", count: 32)) != nil)
        #expect(OwnerID("-") == .session && OwnerID.session.description == "-" && OwnerID.session.isSession)
        #expect(OwnerID("t1")?.isSession == false)
    }
}
