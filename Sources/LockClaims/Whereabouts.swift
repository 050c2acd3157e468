public import LockVocabulary

/// Where a grant may be that the rules of this host do not have.
public enum Whereabouts: Sendable, Equatable {
    /// No host has it.
    case nowhere
    /// Only the daemon of this host can tell.
    case on(HostName)
    /// It cannot be known now, for this reason.
    case unknown(String)
}

extension Claims {
    /// Where a grant of a shared name with a token may be, if the rules of this host do not have it.
    ///
    /// A token has the newest revision that its host had seen, or an older one. So the register as of the token's revision,
    /// or a later one, shows the claim under which the grant was made, or that this claim has ended. An older register says
    /// nothing: the watch may be late, while answers of the store are not.
    public func whereabouts(of token: Token, on name: LockName) -> Whereabouts {
        // A token from before the name was shared.
        guard token.rawValue >= 1 << 62 else { return .nowhere }
        guard session != nil else {
            return .unknown(storedState.unavailable ?? "this host has no lease of the cluster now")
        }
        // No other host can have a claim beside it, whatever the watch has shown.
        if directive(for: name).allowed == .write { return .nowhere }
        let knowledge = known[name]
        let epoch = Revision(token.rawValue >> UInt64(configuration.tokenBits) & (1 << 46 - 1))
        guard epoch - offset <= max(watchedTo, knowledge?.asOf ?? 0), knowledge != nil || !hasForgotten else {
            return .unknown("whether another host has this grant is not known here now; ask again")
        }
        let text = knowledge?.text ?? []
        guard let register = text.isEmpty ? Register() : Register(text: text) else {
            return .unknown("the key of this name in the store is damaged")
        }
        let other = register.holders.first { $0.session.host != configuration.host && !isDead($0.session) }
        return other.map { .on($0.session.host) } ?? .nowhere
    }
}
