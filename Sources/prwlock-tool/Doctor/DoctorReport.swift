/// The findings as text for people and as JSON for programs.
struct DoctorReport {
    let findings: [Finding]

    /// The severest finding decides; `ok` if there is none.
    var severity: Finding.Severity { findings.map(\.severity).max() ?? .ok }

    /// Whether something should be done.
    var asksForAction: Bool { severity >= .warning }

    /// The width of lines that are not for a terminal, such as those in a report of a fault.
    private static let usualWidth = 80
    /// Longer lines are hard to read.
    private static let greatestWidth = 110

    /// Each finding as a paragraph: severity and topic, then the text, and what to do behind an arrow.
    func text(_ style: Style) -> Shown {
        let width = min(style.columns ?? Self.usualWidth, Self.greatestWidth)
        let topicWidth = findings.map(\.topic.count).max() ?? 0
        let margin = Finding.Severity.fault.column + topicWidth + 2
        var text: Shown = ""
        for finding in findings {
            let severity = finding.severity.rawValue
            let padding = String(repeating: " ", count: Finding.Severity.fault.column - severity.count)
            var head = style.paint(severity, finding.severity) + Shown(padding)
            head += Shown(finding.topic + String(repeating: " ", count: topicWidth + 2 - finding.topic.count))
            text += head + Self.paragraph(finding.text, width, margin)
            let blank = Shown(String(repeating: " ", count: margin))
            if !finding.meaning.isEmpty { text += blank + Self.paragraph(finding.meaning, width, margin) }
            for remedy in finding.remedies {
                text += blank + "→ " + Self.paragraph(remedy, width, margin + 2)
            }
        }
        return text + "\n\(summary)\n"
    }

    /// A last line that says whether anything is to be done.
    private var summary: String {
        let counts = [Finding.Severity.fault, .warning].compactMap { severity -> String? in
            let count = findings.filter { $0.severity == severity }.count
            return count == 0 ? nil : "\(count) \(severity)\(count == 1 ? "" : "s")"
        }
        return counts.isEmpty
            ? "nothing to do" : counts.joined(separator: ", ") + "; each arrow (→) is what to do"
    }

    /// The words in lines of the width, the later ones behind a margin. Words longer than a line stay whole, so that paths
    /// can be copied.
    private static func paragraph(_ words: String, _ width: Int, _ margin: Int) -> Shown {
        var (text, column): (Shown, Int) = ("", margin)
        let blank = Shown(String(repeating: " ", count: margin))
        for (index, word) in Shown(words).text.split(separator: " ").enumerated() {
            if index > 0, column + 1 + word.count > width {
                text += "\n" + blank
                column = margin
            } else if index > 0 {
                text += " "
                column += 1
            }
            text += Shown(String(word))
            column += word.count
        }
        return text + "\n"
    }

    /// The severity of all, and the findings.
    var json: JSON {
        .object([
            ("status", .string(severity.rawValue)), ("findings", .array(findings.map(\.json))),
        ])
    }
}

extension Finding {
    fileprivate var json: JSON {
        .object([
            ("topic", .string(topic)), ("severity", .string(severity.rawValue)), ("text", .string(text)),
            ("meaning", meaning.isEmpty ? .null : .string(meaning)),
            ("do", .array(remedies.map(JSON.string))), ("facts", .object(members)),
        ])
    }
}

extension Finding.Severity {
    /// The width of the column of severities.
    fileprivate var column: Int { (Self.allCases.map(\.rawValue.count).max() ?? 0) + 2 }

    fileprivate var colour: String {
        switch self {
        case .ok: "32"
        case .note: "36"
        case .warning: "33"
        case .fault: "1;31"
        }
    }
}

extension Style {
    fileprivate func paint(_ word: String, _ severity: Finding.Severity) -> Shown {
        hasColour ? "\u{1B}[\(severity.colour)m\(word)\u{1B}[0m" : Shown(word)
    }
}
