import LockVocabulary

/// A value to encode as JSON (RFC 8259). The members of an object keep their order.
enum JSON {
    case null
    case bool(Bool)
    case integer(Int)
    case unsigned(UInt64)
    case decimal(Double)
    case string(String)
    case array([JSON])
    case object([(String, JSON)])

    /// The value in one line.
    var encoded: String {
        var output = ""
        encode(into: &output)
        return output
    }

    private func encode(into output: inout String) {
        switch self {
        case .null: output += "null"
        case .bool(let value): output += value ? "true" : "false"
        case .integer(let value): output += String(value)
        case .unsigned(let value): output += String(value)
        // Not all values of the type are numbers of JSON.
        case .decimal(let value): output += value.isFinite ? String(value) : "null"
        case .string(let value): Self.encode(value, into: &output)
        case .array(let values):
            output += "["
            for (index, value) in values.enumerated() {
                if index > 0 { output += "," }
                value.encode(into: &output)
            }
            output += "]"
        case .object(let members):
            output += "{"
            for (index, (key, value)) in members.enumerated() {
                if index > 0 { output += "," }
                Self.encode(key, into: &output)
                output += ":"
                value.encode(into: &output)
            }
            output += "}"
        }
    }

    /// Escapes all harmful characters, also those that JSON permits but a terminal obeys.
    private static func encode(_ text: String, into output: inout String) {
        output += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\t": output += "\\t"
            case _ where Harmless.isHarmful(scalar):
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    output += "\\u" + Harmless.hex(UInt32(unit), digits: 4)
                }
            default: output.unicodeScalars.append(scalar)
            }
        }
        output += "\""
    }
}

extension JSON {
    /// Converts a word of the protocol to a key. All keys of this command have underscores, not dashes.
    static func key(_ word: String) -> String { String(word.map { $0 == "-" ? "_" : $0 }) }

    /// A token is a string: those of locks that hosts share are above 2^53, where many programs round a number.
    static func token(_ token: Token) -> JSON { .string(token.description) }

    static func optional(_ value: Int32?) -> JSON { value.map { .integer(Int($0)) } ?? .null }
    static func optional(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
    static func optional(_ value: Double?) -> JSON { value.map(JSON.decimal) ?? .null }
    static func milliseconds(_ value: Duration?) -> JSON {
        value.map { .integer(Int($0.wholeMilliseconds)) } ?? .null
    }
}
