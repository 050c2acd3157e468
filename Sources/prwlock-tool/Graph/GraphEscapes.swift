import LockVocabulary

/// The way of others' text (names, command lines, users) into each language of a drawing, one function for each language.
///
/// Each first makes the text harmless, as for a terminal: then it has no control character, and none that XML forbids.
enum GraphEscapes {
    /// For element content and attribute values of XML and HTML.
    static func markup(_ text: String) -> String {
        var escaped = ""
        // Not by characters: a mark behind a sign makes another character of it, and leaves its effect.
        for scalar in Harmless.show(text).unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            // Also in content, where `]]>` is forbidden.
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// For a quoted string of the language of graphviz, with the quotes. A backslash begins an escape there, and `&` an entity
    /// as in HTML.
    static func dot(_ lines: [String]) -> String {
        let escaped = lines.map { line in
            var escaped = ""
            for scalar in Harmless.show(line).unicodeScalars {
                switch scalar {
                case "\\": escaped += "\\\\"
                case "\"": escaped += "\\\""
                case "&": escaped += "&amp;"
                default: escaped.unicodeScalars.append(scalar)
                }
            }
            return escaped
        }
        return "\"\(escaped.joined(separator: "\\n"))\""
    }

    /// For a quoted string of Mermaid, with the quotes: everything but letters, digits and blanks as `#NN;`, because a
    /// string may hold Markdown and HTML.
    static func mermaid(_ lines: [String]) -> String {
        let escaped = lines.map { line in
            var escaped = ""
            for scalar in Harmless.show(line).unicodeScalars {
                if scalar == " " || scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) {
                    escaped.unicodeScalars.append(scalar)
                } else {
                    escaped += "#\(scalar.value);"
                }
            }
            return escaped
        }
        return "\"\(escaped.joined(separator: "<br/>"))\""
    }
}
