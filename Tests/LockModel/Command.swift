public import LockVocabulary

/// A request that a session makes of the locks, in a form that timelines, the rules, the server and the model all share.
public enum Command: Hashable, Sendable {
    case acquire(String, LockMode, owner: String = "-", wait: TimeLimit = .forever, lease: Duration? = nil)
    case upgrade(String, GrantChoice = .only, wait: TimeLimit = .forever)
    case downgrade(String, GrantChoice, to: LockMode)
    case release(String, GrantChoice)
    case releaseAtEnd(String, GrantChoice)
    case releaseAll(owner: String)
    /// Without a limit the grant gets the lease that it had before.
    case renew(String, GrantChoice, TimeLimit?)
    case cancel(String, owner: String?)
    /// Cancels the request with this tag.
    case cancelTagged(String)
    case validate(String, Token)
    case revoke(String, Token)
    case setRecall(Bool)
}

extension Model {
    /// Carries out a session's command as request `id`; returns the answers that the guarantees allow.
    ///
    /// - Parameter ids: for each token, the request that made the grant.
    public mutating func carryOut(
        _ command: Command, of session: Int, as id: Int, _ ids: [Token: Int]
    ) -> Set<Answer> {
        func meant(_ lock: String, _ choice: GrantChoice) -> [Grant] {
            matches(session, lock, choice, ids)
        }
        switch command {
        case .acquire(_, _, _, let wait, _):
            guard let request = request(command, of: session, as: id, ids) else { return [] }
            return acquire(request, mayWait: wait != .upTo(.zero))
        case .upgrade(let lock, let choice, let wait):
            guard let request = request(command, of: session, as: id, ids) else {
                return Self.refusal(meant(lock, choice))
            }
            return upgrade(request, mayWait: wait != .upTo(.zero))
        case .downgrade(let lock, let choice, let mode): return downgrade(meant(lock, choice), to: mode)
        case .release(let lock, let choice): return release(meant(lock, choice))
        case .releaseAtEnd(let lock, let choice): return releaseAtEnd(meant(lock, choice))
        case .releaseAll(let owner): return releaseAll(of: Party(session: session, owner: owner))
        case .renew(let lock, let choice, let lease): return renew(meant(lock, choice), lease: lease)
        case .cancel(let lock, let owner):
            return cancel(
                requests.filter {
                    $0.party.session == session && $0.lock == lock
                        && (owner == nil || owner == $0.party.owner)
                })
        case .cancelTagged(let tag):
            return cancel(requests.filter { $0.party.session == session && $0.tag == tag })
        case .validate(let lock, let token):
            return [grants.contains { $0.lock == lock && $0.id == ids[token] } ? .valid : .stale]
        case .revoke(let lock, let token):
            return revoke(grants.filter { $0.lock == lock && $0.id == ids[token] })
        case .setRecall(let wanted):
            setRecall(wanted, of: session)
            return [.done]
        }
    }

    /// The request that a command makes; nil for a command that never waits, and for an upgrade of no one grant.
    public func request(
        _ command: Command, of session: Int, as id: Int, _ ids: [Token: Int]
    ) -> Request? {
        switch command {
        case .acquire(let lock, let mode, let owner, let wait, let lease):
            return Request(
                id: id, party: Party(session: session, owner: owner), lock: lock, mode: mode,
                lease: lease, deadline: wait.deadline(from: now))
        case .upgrade(let lock, let choice, let wait):
            return only(matches(session, lock, choice, ids)).map { grant in
                Request(
                    id: id, party: grant.party, lock: lock, mode: .write, upgrades: grant.id,
                    deadline: wait.deadline(from: now))
            }
        case .downgrade, .release, .releaseAtEnd, .releaseAll, .renew, .cancel, .cancelTagged, .validate,
            .revoke, .setRecall:
            return nil
        }
    }

    private func matches(
        _ session: Int, _ lock: String, _ choice: GrantChoice, _ ids: [Token: Int]
    ) -> [Grant] {
        grants.filter { grant in
            grant.party.session == session && grant.lock == lock
                && (choice.token.map { ids[$0] == grant.id } ?? true)
                && (choice.owner.map { "\($0)" == grant.party.owner } ?? true)
        }
    }
}
