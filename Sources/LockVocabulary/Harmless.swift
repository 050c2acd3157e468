/// The one way of text that another process chose to a terminal, the journal or a log.
///
/// Another user chose a command line, a note or a name, and a false daemon chooses the text of its errors. An escape
/// sequence in such a text could move the cursor and draw a false table. A change of direction could show a name
/// backwards, and an invisible character could make two names look the same.
///
/// Invariants:
/// 1. No character of the result is harmful.
/// 2. Text that passes twice is as text that passes once: no escape contains a harmful character.
package enum Harmless {
    /// The text with every harmful character as `\xNN` or `\u{NNNN}`.
    package static func show(_ text: String) -> String {
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
    package static func show(_ bytes: [UInt8]) -> String {
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

    /// Whether a terminal may do something other than show the character: a control character, or one that reorders,
    /// separates or hides text, or one that has no appearance of its own.
    ///
    /// The categories are those of the Unicode version that this program is built with. A character that only a later
    /// version assigns counts as harmful, because its effect is unknown.
    package static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        if (0x20..<0x7F).contains(scalar.value) { return false }
        return switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
            true
        // A filler or a variation selector is a letter or a mark, and invisible.
        default: scalar.properties.isDefaultIgnorableCodePoint
        }
    }

    package static func hex(_ value: UInt32, digits: Int) -> String {
        let spelled = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digits - spelled.utf8.count)) + spelled
    }
}
