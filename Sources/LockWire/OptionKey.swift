/// The key of an option of a request, `key=value`. Keys match in exact case.
enum OptionKey: Int, CaseIterable {
    // The list is searched in this order.
    case wait, lease, owner, note, token, at, to, after, limit, client, recall, cache, by

    var word: StaticString {
        switch self {
        case .wait: "wait"
        case .lease: "lease"
        case .owner: "owner"
        case .note: "note"
        case .token: "token"
        case .at: "at"
        case .to: "to"
        case .after: "after"
        case .limit: "limit"
        case .client: "client"
        case .recall: "recall"
        case .cache: "cache"
        case .by: "by"
        }
    }

    init?(_ word: UnsafeRawBufferPointer) {
        guard let key = Self.allCases.first(where: { word.spells($0.word) }) else { return nil }
        self = key
    }
}

/// A set of keys.
struct OptionKeys {
    private var bits: UInt16 = 0

    func contains(_ key: OptionKey) -> Bool { bits >> key.rawValue & 1 == 1 }

    mutating func insert(_ key: OptionKey) { bits |= 1 << key.rawValue }

    var isEmpty: Bool { bits == 0 }
}
