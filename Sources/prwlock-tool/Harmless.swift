/// Escapes the characters that a terminal would obey, in text that comes from other processes.
///
/// Another user chose the command line and the note that this command prints. An escape sequence in such a text could
/// move the cursor and draw a false table; a change of direction could show a name backwards.
enum Harmless {
    /// The text with every harmful character as `\xNN` or `\u{NNNN}`.
    static func show(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isHarmful) else { return text }
        var shown = ""
        for scalar in text.unicodeScalars {
            if !isHarmful(scalar) {
                shown.unicodeScalars.append(scalar)
            } else if scalar.value < 0x100 {
                shown += "\\x" + hex(scalar.value, digits: 2)
            } else {
                shown += "\\u{" + hex(scalar.value, digits: 4) + "}"
            }
        }
        return shown
    }

    /// The bytes as text; bytes that are not UTF-8 are escaped too.
    static func show(_ bytes: [UInt8]) -> String {
        var shown = ""
        var valid: [UInt8] = []
        var rest = bytes.makeIterator()
        var parser = Unicode.UTF8.ForwardParser()
        var index = 0
        while true {
            switch parser.parseScalar(from: &rest) {
            case .valid(let encoded):
                valid += encoded
                index += encoded.count
            case .error(let length):
                shown += show(String(decoding: valid, as: UTF8.self))
                valid = []
                for byte in bytes[index..<index + length] { shown += "\\x" + hex(UInt32(byte), digits: 2) }
                index += length
            case .emptyInput: return shown + show(String(decoding: valid, as: UTF8.self))
            }
        }
    }

    /// Like `show(_:)`, for text of several lines.
    static func showLines(_ bytes: [UInt8]) -> String {
        bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { show(Array($0)) }.joined(separator: "\n")
    }

    /// Whether a terminal may do something other than show the character: a control character, or one that reorders or
    /// hides text.
    static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0: true
        case 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF: true
        default: false
        }
    }

    static func hex(_ value: UInt32, digits: Int) -> String {
        let spelled = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digits - spelled.utf8.count)) + spelled
    }
}
