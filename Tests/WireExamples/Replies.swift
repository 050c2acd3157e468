import LockVocabulary
public import LockWire

extension Examples {
    /// Every reply, without a tag, and every error.
    public static let replies: [Example<Reply>] = ReplyKind.allCases.flatMap { kind in
        kind.examples.map { line, reply in
            precondition(ReplyKind(reply) == kind, "\(line) is an example of another reply")
            return Example(line, reply)
        }
    }
}

/// The cases of `Reply`.
private enum ReplyKind: CaseIterable {
    case granted, busy, timeout, deadlock, denied, cancelled, released, releasedAll, renewed, valid, stale,
        revoked
    case hello, pong, bye, ok, end, error

    init(_ reply: Reply) {
        self =
            switch reply {
            case .granted: .granted
            case .busy: .busy
            case .timeout: .timeout
            case .deadlock: .deadlock
            case .denied: .denied
            case .cancelled: .cancelled
            case .released: .released
            case .releasedAll: .releasedAll
            case .renewed: .renewed
            case .valid: .valid
            case .stale: .stale
            case .revoked: .revoked
            case .hello: .hello
            case .pong: .pong
            case .bye: .bye
            case .ok: .ok
            case .end: .end
            case .error: .error
            }
    }

    var examples: [(String, Reply)] {
        switch self {
        case .granted:
            [
                ("GRANTED jobs read token=42", .granted(jobs, .read, token, ownerDied: nil)),
                (
                    "GRANTED jobs update token=18446744073709551615",
                    .granted(jobs, .update, Token(rawValue: .max), ownerDied: nil)
                ),
                (
                    "GRANTED jobs write token=1 ownerdied=1",
                    .granted(jobs, .write, Token(rawValue: 1), ownerDied: .yes)
                ),
                (
                    "GRANTED jobs read token=42 slot=63 gen=42",
                    .granted(
                        jobs, .read, token, ownerDied: nil, slot: GrantedSlot(index: 63, generation: 42))
                ),
                (
                    "GRANTED jobs read token=4611686018427387905 until=8000ms clock=123456789ms",
                    .granted(jobs, .read, Token(rawValue: 1 << 62 | 1), ownerDied: nil, until: moment)
                ),
                (
                    "GRANTED jobs write token=42 ownerdied=maybe until=8000ms clock=123456789ms",
                    .granted(jobs, .write, token, ownerDied: .maybe, until: moment)
                ),
            ]
        case .busy:
            [
                ("BUSY jobs read held-by=811/write", .busy(jobs, .read, holders(811, of: .write))),
                ("BUSY jobs write held-by=?/update", .busy(jobs, .write, holders(nil, of: .update))),
                (
                    "BUSY jobs write held-by=1/read,2/read,3/read",
                    .busy(jobs, .write, holders(1, 2, 3, of: .read))
                ),
                (
                    "BUSY jobs write held-by=1/read,2/read,3/read,+2",
                    .busy(jobs, .write, holders(1, 2, 3, 4, 5, of: .read))
                ),
                ("BUSY jobs write held-by=?", .busy(jobs, .write, HeldBy())),
                (
                    "BUSY jobs write held-by=host:web2/read,host:a-b.c/read",
                    .busy(
                        jobs, .write,
                        HeldBy([
                            .init(host: host("web2"), mode: .read), .init(host: host("a-b.c"), mode: .read),
                        ]))
                ),
            ]
        case .timeout:
            [
                (
                    "TIMEOUT jobs write waited=5000ms held-by=1/read",
                    .timeout(jobs, .write, waited: .seconds(5), holders(1, of: .read))
                )
            ]
        case .deadlock:
            [
                (
                    "DEADLOCK jobs write cycle=811/t1:jobs>?:a/b:c",
                    .deadlock(
                        jobs, .write,
                        Cycle([
                            Cycle.Hop(processID: 811, owner: owner, lock: jobs),
                            Cycle.Hop(processID: nil, owner: .session, lock: name("a/b:c")),
                        ]))
                ),
                (
                    "DEADLOCK jobs write cycle=811/t1:jobs>host:web2:a/b:c",
                    .deadlock(
                        jobs, .write,
                        Cycle([
                            Cycle.Hop(processID: 811, owner: owner, lock: jobs),
                            Cycle.Hop(host: host("web2"), lock: name("a/b:c")),
                        ]))
                ),
                (
                    "DEADLOCK jobs read cycle=0:jobs>1:jobs>2:jobs>3:jobs>4:jobs>5:jobs>6:jobs>7:jobs>+12",
                    .deadlock(
                        jobs, .read,
                        Cycle((0..<20).map { Cycle.Hop(processID: $0, owner: .session, lock: jobs) }))
                ),
            ]
        case .denied:
            [
                (
                    "DENIED jobs write reason=not-permitted",
                    .denied(jobs, what: "write", reason: "not-permitted")
                ),
                (
                    "DENIED jobs look reason=not-permitted",
                    .denied(jobs, what: "look", reason: "not-permitted")
                ),
                (
                    "DENIED jobs revoke reason=not-permitted",
                    .denied(jobs, what: "revoke", reason: "not-permitted")
                ),
                ("DENIED jobs read reason=lock-order:a", .denied(jobs, what: "read", reason: "lock-order:a")),
            ]
        case .cancelled: [("CANCELLED jobs read", .cancelled(jobs, .read))]
        case .released: [("RELEASED jobs token=42", .released(jobs, token))]
        case .releasedAll: [("RELEASED * grants=3 waiters=0", .releasedAll(grants: 3, waiters: 0))]
        case .renewed:
            [
                ("RENEWED jobs token=42 lease=30000ms", .renewed(jobs, token, .upTo(.seconds(30)))),
                ("RENEWED jobs token=42 lease=forever", .renewed(jobs, token, .forever)),
            ]
        case .valid: [("VALID jobs token=42", .valid(jobs, token))]
        case .stale: [("STALE jobs token=42", .stale(jobs, token))]
        case .revoked: [("REVOKED jobs token=42", .revoked(jobs, token))]
        case .hello:
            [
                (
                    "HELLO version=1 server=prwlockd/0.1.0 session=7 max-line=65536 max-session-grants=10000 max-session-waiters=9",
                    .hello(
                        version: Reply.protocolVersion, server: "prwlockd/0.1.0", session: 7,
                        limits: SessionLimits(line: 65_536, grants: 10_000, waiters: 9))
                ),
                (
                    "HELLO version=1 server=prwlockd/0.1.0 session=7 max-line=65536 max-session-grants=10000 max-session-waiters=9 slots=64",
                    .hello(
                        version: Reply.protocolVersion, server: "prwlockd/0.1.0", session: 7,
                        limits: SessionLimits(line: 65_536, grants: 10_000, waiters: 9), slots: 64)
                ),
            ]
        case .pong: [("PONG", .pong)]
        case .bye: [("BYE", .bye)]
        case .ok: [("OK", .ok)]
        case .end: [("END 0", .end(rows: 0)), ("END 1000000", .end(rows: 1_000_000))]
        case .error:
            [
                (
                    "ERROR no-token lock=jobs mode=write no token",
                    .error(WireError(.noToken, "no token", of: .init(jobs, .write)))
                )
            ]
                + ErrorCode.allCases.filter { $0 != .unlisted }.map {
                    ("ERROR \($0.rawValue) \($0.explanation)", .error(WireError($0)))
                }
        }
    }
}

private func holders(_ processes: Int32?..., of mode: LockMode) -> HeldBy {
    HeldBy(processes.map { HeldBy.Holder(processID: $0, mode: mode) })
}
