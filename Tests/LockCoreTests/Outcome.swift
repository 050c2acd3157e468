import LockCore
import LockModel
import LockVocabulary

/// The rules' answer to a command.
enum Outcome {
    case decision(Decision)
    case refused(Refusal)
    /// The answer in the model's words and in a timeline's.
    case done(Model.Answer, text: String)

    /// The answer in the model's words.
    var answer: Model.Answer {
        switch self {
        case .decision(.granted(let granted)): .granted(granted.mode, ownerDied: granted.ownerDied)
        case .decision(.waiting): .waiting
        case .decision(.refused(let refusal)), .refused(let refusal): refusal.answer
        case .done(let answer, _): answer
        }
    }
}

extension LockTable {
    /// Does what is due on the locks that a command is about. Returns false if the command cannot be decided yet.
    mutating func canDecide(_ command: Command, by session: SessionID) -> Bool {
        switch command {
        case .acquire(let lock, _, _, _, _): return !isBehind(session) && settle(name(lock), for: session)
        case .upgrade(let lock, _, _), .downgrade(let lock, _, _), .release(let lock, _),
            .releaseAtEnd(let lock, _), .renew(let lock, _, _), .cancel(let lock, _), .validate(let lock, _),
            .revoke(let lock, _):
            return settle(name(lock), for: session)
        case .cancelTagged(let tag):
            return LockVocabulary.Tag(tag).map { settle($0, of: session) } ?? true
        case .releaseAll(let owner): return settle(word(owner), of: session)
        case .setRecall: return !hasWork
        }
    }

    /// Carries out a command of a session; `tag` is the tag of the request that it makes.
    mutating func carryOut(
        _ command: Command, by session: SessionID, tag: LockVocabulary.Tag?, at now: Instant
    ) -> Outcome {
        switch command {
        case .acquire(let lock, let mode, let owner, let wait, let lease):
            let request = Acquisition(
                name(lock), mode, owner: word(owner), wait: wait,
                lease: lease.map(TimeLimit.upTo) ?? .forever, tag: tag)
            return .decision(acquire(request, by: session, at: now))
        case .upgrade(let lock, let choice, let wait):
            return .decision(upgrade(name(lock), choice, wait: wait, tag: tag, by: session, at: now))
        case .downgrade(let lock, let choice, let mode):
            return .decision(downgrade(name(lock), choice, to: mode, by: session, at: now))
        case .release(let lock, let choice):
            return done(release(name(lock), choice, by: session, at: now)) { "released \($0)" }
        case .releaseAtEnd(let lock, let choice):
            return done(releaseAtEnd(name(lock), choice, by: session, at: now)) { "leaves \($0)" }
        case .releaseAll(let owner):
            let ended = releaseAll(of: word(owner), by: session, at: now)
            return .done(
                .releasedAll(grants: ended.grants, waiters: ended.waiters),
                text: "released \(ended.grants), cancelled \(ended.waiters)")
        case .renew(let lock, let choice, let lease):
            return done(renew(name(lock), choice, lease: lease, by: session, at: now)) {
                "renewed \($0.token) \($0.lease.map { "\($0.wholeMilliseconds)ms" } ?? "forever")"
            }
        case .cancel(let lock, let owner):
            return done(cancel(name(lock), owner: owner.map(word), by: session, at: now), .cancelled) {
                "cancelled \($0)"
            }
        case .cancelTagged(let tag):
            guard let tag = LockVocabulary.Tag(tag) else { fatalError("not a tag: \(tag)") }
            return done(cancel(tag, by: session, at: now), .cancelled) { "cancelled \($0.name) \($0.mode)" }
        case .validate(let lock, let token):
            return validate(name(lock), token, at: now)
                ? .done(.valid, text: "valid") : .done(.stale, text: "stale")
        case .revoke(let lock, let token):
            return done(revoke(name(lock), token, at: now)) { "revoked" }
        case .setRecall(let wanted):
            setRecall(wanted, of: session)
            return .done(.done, text: "")
        }
    }

    private func done<Value>(
        _ result: Result<Value, Refusal>, _ answer: Model.Answer = .done, text: (Value) -> String
    ) -> Outcome {
        switch result {
        case .success(let value): .done(answer, text: text(value))
        case .failure(let refused): .refused(refused)
        }
    }
}

extension Refusal {
    /// The refusal in the model's words.
    var answer: Model.Answer {
        switch self {
        case .busy: .busy
        case .timeout: .timeout
        case .deadlock: .deadlock
        case .cancelled: .cancelled
        case .limit(.grants): .limitGrants
        case .limit(.waiters): .limitWaiters
        case .limit(.locks): .limitLocks
        case .limit(.waits), .noToken, .unavailable:
            fatalError("the model knows no bound of a search and no last token")
        case .draining: .draining
        case .notHeld: .notHeld
        case .notWaiting: .notWaiting
        case .ambiguous: .ambiguous
        case .wrongMode: .wrongMode
        case .noLease: .noLease
        }
    }
}

/// A lock's name from a valid text.
func name(_ text: String) -> LockName {
    guard let name = LockName(text) else { fatalError("not a name: \(text)") }
    return name
}

/// An owner's id from a valid text.
func word(_ text: String) -> OwnerID {
    guard let owner = OwnerID(text) else { fatalError("not an owner: \(text)") }
    return owner
}
