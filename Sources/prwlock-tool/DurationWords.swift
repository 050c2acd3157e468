extension Duration {
    /// How long it is, in words: the largest unit that it has one of, and no more than a person wants to know.
    var inWords: String {
        let seconds = components.seconds
        if seconds < 1 { return "\(components.attoseconds / 1_000_000_000_000_000) ms" }
        let units: [(Int64, String)] = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")]
        for (index, (length, unit)) in units.enumerated() where seconds >= length {
            let words = Self.count(seconds / length, unit)
            // Two hours and a half is worth telling from two hours; three minutes and a second is not worth reading.
            guard seconds / length < 10, length > 60 else { return words }
            let (smaller, smallerUnit) = units[index + 1]
            let rest = seconds % length / smaller
            return rest == 0 ? words : "\(words) \(Self.count(rest, smallerUnit))"
        }
        return "0 ms"
    }

    private static func count(_ number: Int64, _ unit: String) -> String {
        number == 1 ? "1 \(unit)" : "\(number) \(unit)s"
    }
}
