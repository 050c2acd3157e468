import LockVocabulary

extension Examples {
    /// The characters that a line can carry, and that a terminal obeys or hides.
    public static let harmful: String = {
        var text = ""
        for number in UInt32(0)...0xE01FF {
            guard let scalar = Unicode.Scalar(number), Harmless.isHarmful(scalar), scalar != "\n" else {
                continue
            }
            let category = scalar.properties.generalCategory
            // Of these there are too many for a line.
            guard category != .privateUse, category != .unassigned else { continue }
            text.unicodeScalars.append(scalar)
        }
        return text
    }()
}
