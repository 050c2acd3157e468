import LockVocabulary

/// One thread of one client on one host.
struct Party: Hashable {
    let host: Int
    /// The number of the client in the history.
    let client: Int
    let owner: String
}

/// A request, from when its client sends it until the answer.
struct Asked {
    enum Verb: Equatable {
        case acquire
        case upgrade(of: Token)
        case downgrade(of: Token)
        case release(of: Token)
        case validate(Token)
        case renew(of: Token)
        case cancel
    }

    /// Its tag is `#r` and this number.
    let id: Int
    let party: Party
    let verb: Verb
    let name: String
    let mode: LockMode
    let wait: Duration?
    let sent: Instant
    /// When the daemon read it, by the host's clock and in true time.
    var arrival: (local: Instant, world: Instant)?
    /// Whether no other request of its host waited for the name since it was sent.
    var isAlone = true

    /// Whether the answer may wait for others.
    var waits: Bool {
        switch verb {
        case .acquire, .upgrade: true
        case .downgrade, .release, .validate, .renew, .cancel: false
        }
    }

    /// The host's time at which it must be decided; nil for never. A request that must not wait may ask the other hosts.
    var deadline: Instant? {
        guard let wait, let arrival else { return nil }
        return arrival.local.advanced(by: wait == .zero ? .milliseconds(1_010) : wait)
    }
}

/// What names a grant: readers on several hosts may have the same token.
struct GrantKey: Hashable {
    let host: Int
    let token: Token
}

/// A name on a host.
struct GrantPlace: Hashable {
    let host: Int
    let name: String
}

/// A grant as its client knows it: it counts from `GRANTED` until its release, its loss or its `until`.
struct Hold {
    let party: Party
    let name: String
    var mode: LockMode
    var token: Token
    /// The end that the daemon has promised last, in true time.
    var until: Instant
    let since: Instant
    var key: GrantKey { GrantKey(host: party.host, token: token) }
    /// Whether it may write since it was granted, or upgraded.
    var isWriter: Bool { mode == .write }

    /// Whether the two may not be held together. A host with an update grant has a write claim.
    func excludes(_ other: Hold) -> Bool {
        guard name == other.name, party != other.party else { return false }
        if party.host != other.party.host, mode == .update || other.mode == .update { return true }
        return mode.conflicts(with: other.mode)
    }
}

/// What clients may hear about a writer that died (G11).
enum MarkState {
    /// No later grant may say it.
    case none
    /// A later grant may say it: it is not known what the daemon saw.
    case possible
    /// Each later grant must say it.
    case required
}
