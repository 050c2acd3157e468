import LockVocabulary

extension Duration {
    /// The duration in words: in its largest unit, and in the next smaller one where that matters to a reader.
    var inWords: String {
        let seconds = components.seconds
        if seconds < 1 { return "\(wholeMilliseconds) ms" }
        let units: [(Int64, String)] = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")]
        for (index, (length, unit)) in units.enumerated() where seconds >= length {
            let words = Self.count(seconds / length, unit)
            // "2 hours 30 minutes" differs enough from "2 hours"; "3 minutes 1 second" does not from "3 minutes".
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
