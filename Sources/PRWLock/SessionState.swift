import LockVocabulary
import LockWire

extension Session {
    // MARK: What shells read

    /// Why the session has ended; nil as long as it has not.
    var failure: LockError? {
        if case .ended(let failure) = phase { failure } else { nil }
    }

    /// Whether no request is open and no grant is held. None is held under a slot, as the session's client is gone.
    var isIdle: Bool { requests.isEmpty && grants.areAllLost { _ in false } }

    /// Whether no caller waits for an outcome and no grant is held.
    func isForsaken(besides isHeld: (GrantedSlot) -> Bool = { _ in true }) -> Bool {
        grants.areAllLost(besides: isHeld) && requests.values.allSatisfy { !$0.isAttended }
    }

    /// Whether a request has no reply yet, whether or not it is completed for its caller.
    func isOpen(_ id: RequestID) -> Bool { requests[id] != nil }

    /// The terms of a grant that its holder has not let go.
    func terms(of grant: GrantID) -> Terms {
        guard let terms = termsIfKnown(of: grant) else { preconditionFailure("the grant was let go") }
        return terms
    }

    /// The terms of a grant; nil once its holder has let it go.
    func termsIfKnown(of grant: GrantID) -> Terms? { grants.terms(of: grant) }

    /// Until when the grants on shared locks count; nil while none is held.
    var sharedUntil: Instant? { grants.until }

    /// How a grant was lost; nil if it is held.
    func loss(of grant: GrantID) -> LockLost? { grants.loss(of: grant) }

    // MARK: What it asks itself

    /// A choice of the grant that a request gets; nil if every one could choose another grant.
    func choiceOfNoOther(than id: RequestID, _ acquire: Acquire) -> GrantChoice? {
        let (name, owner) = (acquire.name, acquire.owner)
        let isAsked = requests.contains { $0 != id && $1.isSent(for: name, of: owner) }
        if isAsked || grants.contains(name, of: owner) { return nil }
        return GrantChoice(owner: owner.isSession ? nil : owner)
    }
}
