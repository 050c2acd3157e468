import LockClaims
import LockCore
import LockVocabulary
import LockWire

/// What a server answers about names that hosts share.
extension Server {
    // MARK: - Refusals

    /// The other hosts that claim a name, as holders; only those that keep this mode from this host, if one is given.
    func hosts(holding name: LockName, against mode: LockMode? = nil) -> [HeldBy.Holder] {
        guard fleet != nil, table.isShared(name) else { return [] }
        let own = fleet.inspect { $0.configuration.host }
        return fleetClaims(on: name).holders.filter { claim in
            claim.host != own && (mode != .read || claim.mode == .write)
        }.map { HeldBy.Holder(host: $0.host, mode: LockMode($0.mode)) }
    }

    /// Why a name cannot be had.
    func unavailable(_ name: LockName) -> WireError {
        if case .unavailable(let reason) = fleetClaims(on: name).refusal {
            return WireError(.clusterUnavailable, Harmless.show(reason))
        }
        if let reason = fleetState?.unavailable {
            return WireError(.clusterUnavailable, Harmless.show(reason))
        }
        return WireError(.clusterUnavailable)
    }

    func fleetClaims(on name: LockName) -> Directive {
        fleet.inspect { $0.claims.directive(for: name) } ?? Directive()
    }

    // MARK: - Validation

    /// Whether a grant with this token is held. Of a shared name, only the host that claims it knows its grants.
    mutating func validate(_ name: LockName, _ token: Token, _ now: Instant) -> Reply {
        if table.validate(name, token, at: now) { return .valid(name, token) }
        guard fleet != nil, table.isShared(name), let why = doubt(about: token, on: name) else {
            return .stale(name, token)
        }
        return .error(WireError(.clusterUnavailable, why))
    }

    /// Why it is not known whether another host has a grant with this token; nil if none has.
    ///
    /// A token says that its grant was made when the store's revision was at most that of the token. So once this host knows the
    /// name as of that revision, it has seen the claim under which the grant was made, and whether that claim has ended.
    private func doubt(about token: Token, on name: LockName) -> String? {
        // A token from before the name was shared.
        guard token.isShared else { return nil }
        guard claimsEnd != .never, let known = fleet.inspect({ $0.claims.knownTokens(of: name) }),
            token < known
        else {
            return "whether another host has this grant is not known here now; ask again"
        }
        guard let host = hosts(holding: name).first?.host else { return nil }
        return "host \(host) has a claim on the name: only the daemon there knows its grants"
    }

    // MARK: - Rows

    /// The rows of `STATS` for the fleet.
    func fleetRows() -> [Row] {
        guard let state = fleetState else { return [] }
        let left = claimsEnd == .never ? .zero : max(table.now.duration(to: claimsEnd), .zero)
        return [
            .stat(name: "cluster-claims", value: state.claims),
            .stat(name: "cluster-registers", value: state.registers),
            .stat(name: "cluster-reachable", value: state.isReachable ? 1 : 0),
            .stat(name: "cluster-lease-left", value: Int(clamping: left.wholeMilliseconds)),
            .stat(name: "total-keepalives", value: Int(clamping: state.totalKeepAlives)),
            .stat(name: "total-claims", value: Int(clamping: state.totalClaims)),
            .stat(name: "total-handovers", value: Int(clamping: state.totalHandovers)),
            .stat(name: "total-lost-leases", value: Int(clamping: state.totalLostLeases)),
        ]
    }

}

extension Row.Lock.SharedClaim {
    /// What hosts claim, by a name's directive. The claim of this host goes before those of others.
    init(_ claims: Directive, from own: HostName) {
        let claim = claims.holders.first { $0.host == own } ?? claims.holders.first
        self.init(mode: claim.map { LockMode($0.mode) }, host: claim?.host)
    }
}

extension Token {
    /// Whether it is one of a shared name.
    fileprivate var isShared: Bool { rawValue >= 1 << 62 }
}

extension Row {
    /// The rows of `STATUS` for hosts.
    static func claims(_ claims: Directive) -> [Row] {
        claims.holders.map { .claim(Claim(host: $0.host, mode: LockMode($0.mode))) }
            + claims.waiters.map { .claimWaiter(Claim(host: $0.host, mode: LockMode($0.mode))) }
    }
}
