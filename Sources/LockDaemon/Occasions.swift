import LockVocabulary

/// What the loop leaves to whoever keeps house.
struct Occasions: OptionSet {
    let rawValue: Int

    static let connections = Occasions(rawValue: 1)
    static let signals = Occasions(rawValue: 2)
    static let tokens = Occasions(rawValue: 4)
    static let place = Occasions(rawValue: 8)
    static let questions = Occasions(rawValue: 16)
    static let settings = Occasions(rawValue: 32)
}

/// The earlier of two instants, where nil is never.
func earliest(_ one: Instant?, _ other: Instant?) -> Instant? {
    guard let one, let other else { return one ?? other }
    return min(one, other)
}
