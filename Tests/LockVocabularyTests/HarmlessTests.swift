import LockVocabulary
import Testing

@Suite("Text that another process chose") struct HarmlessTests {
    /// Every character of Unicode.
    private static var all: some Sequence<Unicode.Scalar> {
        (UInt32(0)...0x10FFFF).lazy.compactMap { Unicode.Scalar($0) }
    }

    /// Ranges by number, so that this test does not depend on the tables that the escaping uses.
    private static let harmful: [ClosedRange<UInt32>] = [
        0x0...0x1F, 0x7F...0x9F, 0xAD...0xAD, 0x34F...0x34F, 0x600...0x605, 0x61C...0x61C, 0x6DD...0x6DD,
        0x70F...0x70F, 0x890...0x891, 0x8E2...0x8E2, 0x115F...0x1160, 0x17B4...0x17B5, 0x180B...0x180F,
        0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0x3164...0x3164, 0xE000...0xF8FF,
        0xFE00...0xFE0F, 0xFEFF...0xFEFF, 0xFFA0...0xFFA0, 0xFFF0...0xFFFB, 0xFFFE...0xFFFF,
        0x110BD...0x110BD, 0x110CD...0x110CD, 0x13430...0x1343F, 0x1BCA0...0x1BCA3, 0x1D173...0x1D17A,
        0x1FFFE...0x1FFFF, 0xE0000...0xE0FFF, 0xF0000...0x10FFFF,
    ]

    @Test("loses every control, format, separating, private, unassigned and invisible character")
    func everyHarmfulCharacter() {
        for range in Self.harmful {
            for scalar in range.lazy.compactMap({ Unicode.Scalar($0) }) where !Harmless.isHarmful(scalar) {
                Issue.record("U+\(Harmless.hex(scalar.value, digits: 4)) is not escaped")
            }
        }
        for scalar in Self.all {
            let isInvisible =
                switch scalar.properties.generalCategory {
                case .control, .format, .surrogate, .privateUse, .unassigned: true
                case .lineSeparator, .paragraphSeparator: true
                default: scalar.properties.isDefaultIgnorableCodePoint
                }
            guard isInvisible != Harmless.isHarmful(scalar) else { continue }
            Issue.record("U+\(Harmless.hex(scalar.value, digits: 4))")
        }
    }

    @Test("has only printable ASCII in its escapes, so that a second pass changes nothing")
    func escapes() {
        for scalar in Self.all where Harmless.isHarmful(scalar) {
            let shown = Harmless.show(String(scalar))
            let isFine = shown.utf8.allSatisfy { (0x20...0x7E).contains($0) } && shown.hasPrefix("\\")
            if !isFine { Issue.record("U+\(Harmless.hex(scalar.value, digits: 4)): \(shown)") }
        }
        #expect(Harmless.show("a\u{1B}[1mb\r\n\u{7F}\u{9B}") == "a\\x1B[1mb\\x0D\\x0A\\x7F\\x9B")
        #expect(Harmless.show("\u{202E}\u{E0041}") == "\\u{202E}\\u{E0041}")
        // A mark or a joiner that a grapheme hides is found too.
        #expect(Harmless.show("e\u{301}\u{200D}\u{1F469}") == "e\u{301}\\u{200D}\u{1F469}")
    }

    @Test("keeps letters, marks, digits, signs and spaces of all scripts")
    func everythingElse() {
        for text in [
            "jobs / ~42!", "naïve", "Überholspur", "日本語　名", "עברית", "हिन्दी", "😀", "e\u{301}", "a\u{A0}b",
        ] {
            #expect(Harmless.show(text) == text)
        }
    }

    @Test("shows bytes that are not UTF-8 by their numbers")
    func bytes() {
        #expect(Harmless.show([0x63, 0xC3, 0xA9, 0xE9, 0x1B]) == "cé\\xE9\\x1B")
        // A surrogate, and a longer spelling of a control character, are not UTF-8.
        #expect(Harmless.show([0xED, 0xA0, 0x80, 0x2E, 0xC0, 0x9B]) == "\\xED\\xA0\\x80.\\xC0\\x9B")
    }
}
