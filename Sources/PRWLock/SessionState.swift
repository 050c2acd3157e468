import LockVocabulary

extension Session {
    // MARK: What shells read

    /// Why the session has ended; nil as long as it has not.
    var failure: LockError? {
        if case .ended(let failure) = phase { failure } else { nil }
    }

    /// Whether no request is open and no grant is held.
    var isIdle: Bool { requests.isEmpty && grants.areAllLost }

    /// Whether no caller waits for an outcome and no grant is held.
    var isForsaken: Bool { grants.areAllLost && requests.values.allSatisfy { !$0.isAttended } }

    /// Whether a request has no reply yet, whether or not it is completed for its caller.
    func isOpen(_ id: RequestID) -> Bool { requests[id] != nil }

    /// The terms of a grant that its holder has not let go.
    func terms(of grant: GrantID) -> Terms {
        guard let terms = termsIfKnown(of: grant) else { preconditionFailure("the grant was let go") }
        return terms
    }

    /// The terms of a grant; nil once its holder has let it go.
    func termsIfKnown(of grant: GrantID) -> Terms? { grants.terms(of: grant) }

    /// How a grant was lost; nil if it is held.
    func loss(of grant: GrantID) -> LockLost? { grants.loss(of: grant) }
}
