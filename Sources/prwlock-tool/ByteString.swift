import ArgumentParser
import LockVocabulary

/// A word of the command line, byte for byte.
///
/// A Swift string cannot hold bytes that are not UTF-8, and the argument parser takes only strings. Each word therefore
/// passes through the parser in an encoded form: every byte outside ASCII becomes one private-use scalar, U+10FF00 plus
/// the byte. In a value, a leading dash is encoded too, because the parser would read the value as an option or refuse
/// it.
///
/// Invariant: `bytes(in: carry(word)) == word` for all words. A private-use scalar in the word itself consists of four
/// bytes outside ASCII, and each of them is encoded.
struct ByteString: ExpressibleByArgument, Equatable {
    let bytes: [UInt8]

    private static let plane: UInt32 = 0x10FF00

    init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// Decodes the word that the parser passed on.
    init?(argument: String) { bytes = Self.bytes(in: argument) }

    /// The word as text; nil if it is not UTF-8.
    var text: String? { String(validating: bytes, as: UTF8.self) }

    /// The word for people: bytes that are not UTF-8 and control characters are escaped.
    var shown: String { Harmless.show(bytes) }

    /// Encodes a word for the parser.
    static func carry(_ word: some Sequence<UInt8>) -> String {
        var carried = ""
        for byte in word {
            carried.unicodeScalars.append(byte < 0x80 ? Unicode.Scalar(byte) : scalar(of: byte))
        }
        return carried
    }

    /// Encodes the leading dash of an encoded word that is a value.
    static func carryValue(_ carried: String) -> String {
        guard carried.utf8.first == UInt8(ascii: "-") else { return carried }
        var value = String(Character(scalar(of: UInt8(ascii: "-"))))
        value.unicodeScalars += carried.unicodeScalars.dropFirst()
        return value
    }

    /// Decodes a word from the parser.
    static func bytes(in carried: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in carried.unicodeScalars {
            if scalar.value >= plane {
                bytes.append(UInt8(truncatingIfNeeded: scalar.value))
            } else {
                bytes += Array(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
        return bytes
    }

    private static func scalar(of byte: UInt8) -> Unicode.Scalar {
        Unicode.Scalar(plane + UInt32(byte)) ?? "\u{FFFD}"
    }
}

extension CommandLine {
    /// The program's arguments without its own name, encoded for the argument parser.
    static var carriedArguments: [String] {
        (1..<max(1, argc)).compactMap { index in
            guard let word = unsafeArgv[Int(index)] else { return nil }
            return word.withMemoryRebound(to: UInt8.self, capacity: 1) { start in
                var length = 0
                while start[length] != 0 { length += 1 }
                return ByteString.carry(UnsafeBufferPointer(start: start, count: length))
            }
        }
    }
}
