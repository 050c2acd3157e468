import LockVocabulary
public import LockWire

extension Examples {
    /// Every request, without a tag.
    public static let requests: [Example<Verb>] = VerbKind.allCases.flatMap { kind in
        kind.examples.map { line, verb in
            precondition(VerbKind(verb) == kind, "\(line) is an example of another request")
            return Example(line, verb)
        }
    }
}

/// The cases of `Verb`.
private enum VerbKind: CaseIterable {
    case acquire, release, releaseAtEnd, releaseAll, upgrade, downgrade, renew, cancel, cancelTagged,
        validate, revoke
    case status, list, hot, sessions, stats, help, watch, hello, ping, quit

    init(_ verb: Verb) {
        self =
            switch verb {
            case .acquire: .acquire
            case .release: .release
            case .releaseAtEnd: .releaseAtEnd
            case .releaseAll: .releaseAll
            case .upgrade: .upgrade
            case .downgrade: .downgrade
            case .renew: .renew
            case .cancel: .cancel
            case .cancelTagged: .cancelTagged
            case .validate: .validate
            case .revoke: .revoke
            case .status: .status
            case .list: .list
            case .hot: .hot
            case .sessions: .sessions
            case .stats: .stats
            case .help: .help
            case .watch: .watch
            case .hello: .hello
            case .ping: .ping
            case .quit: .quit
            }
    }

    var examples: [(String, Verb)] {
        let choice = GrantChoice(token: token, owner: owner)
        return switch self {
        case .acquire:
            [
                ("READ jobs", .acquire(Acquire(name: jobs, mode: .read))),
                (
                    "UPDATE a%20b wait=0",
                    .acquire(Acquire(name: name("a%20b"), mode: .update, wait: .upTo(.zero)))
                ),
                (
                    "UPDATE jobs wait=5s lease=1500ms owner=t1 note=n",
                    .acquire(
                        Acquire(
                            name: jobs, mode: .update, wait: .upTo(.seconds(5)),
                            lease: .upTo(.milliseconds(1500)),
                            owner: owner, note: note("n")))
                ),
                (
                    "READ jobs wait=0 lease=30s owner=t1 note=n-1%25",
                    .acquire(
                        Acquire(
                            name: jobs, mode: .read, wait: .upTo(.zero), lease: .upTo(.seconds(30)),
                            owner: owner,
                            note: note("n-1%")))
                ),
                (
                    "WRITE A-z.0_9~/:@+ wait=250ms lease=3600s owner=a.b_c-1 note=nightly",
                    .acquire(
                        Acquire(
                            name: name("A-z.0_9~/:@+"), mode: .write, wait: .upTo(.milliseconds(250)),
                            lease: .upTo(.seconds(3600)), owner: ownerID("a.b_c-1"),
                            note: note("nightly")))
                ),
                ("WRITE jobs cache=0", .acquire(Acquire(name: jobs, mode: .write, mayCache: false))),
                ("READ jobs cache=0", .acquire(Acquire(name: jobs, mode: .read, mayCache: false))),
            ]
        case .release:
            [
                ("RELEASE jobs", .release(jobs, .only)),
                ("RELEASE jobs token=42 owner=t1", .release(jobs, choice)),
                ("RELEASE jobs owner=-", .release(jobs, GrantChoice(owner: .session))),
            ]
        case .releaseAtEnd:
            [
                ("RELEASE jobs at=end", .releaseAtEnd(jobs, .only)),
                ("RELEASE jobs token=42 owner=t1 at=end", .releaseAtEnd(jobs, choice)),
            ]
        case .releaseAll:
            [("RELEASE * owner=t1", .releaseAll(owner)), ("RELEASE * owner=-", .releaseAll(.session))]
        case .upgrade:
            [
                ("UPGRADE jobs", .upgrade(jobs, .only, wait: .forever)),
                ("UPGRADE jobs token=42 owner=t1 wait=1s", .upgrade(jobs, choice, wait: .upTo(.seconds(1)))),
            ]
        case .downgrade:
            [
                ("DOWNGRADE jobs to=read", .downgrade(jobs, .only, to: .read)),
                ("DOWNGRADE jobs token=42 owner=t1 to=update", .downgrade(jobs, choice, to: .update)),
            ]
        case .renew:
            [
                ("RENEW jobs", .renew(jobs, .only, lease: nil)),
                ("RENEW jobs lease=forever", .renew(jobs, .only, lease: .forever)),
                ("RENEW jobs token=42 owner=t1 lease=30s", .renew(jobs, choice, lease: .upTo(.seconds(30)))),
            ]
        case .cancel:
            [
                ("CANCEL jobs", .cancel(jobs, owner: nil)),
                ("CANCEL jobs owner=t1", .cancel(jobs, owner: owner)),
            ]
        case .cancelTagged: [("CANCEL #a.b_c-1", .cancelTagged(tag("a.b_c-1")))]
        case .validate: [("VALIDATE jobs token=1", .validate(jobs, Token(rawValue: 1)))]
        case .revoke: [("REVOKE jobs token=18446744073709551615", .revoke(jobs, Token(rawValue: .max)))]
        case .status:
            [("STATUS jobs", .status(jobs, limit: nil)), ("STATUS jobs limit=25", .status(jobs, limit: 25))]
        case .list:
            [
                ("LIST", .list(prefix: "", after: nil, limit: nil)),
                (
                    "LIST jobs after=jobs/a limit=9223372036854775807",
                    .list(
                        prefix: "jobs", after: name("jobs/a"), limit: .max)
                ),
                ("LIST by=waiters", .list(prefix: "", after: nil, limit: nil, by: .waiters)),
                (
                    "LIST jobs by=waited limit=1000",
                    .list(prefix: "jobs", after: nil, limit: 1_000, by: .waited)
                ),
            ]
        case .hot:
            [("HOT", .hot(prefix: "", by: nil, limit: nil))]
                + HotRank.allCases.map {
                    ("HOT jobs by=\($0.rawValue) limit=12", .hot(prefix: "jobs", by: $0, limit: 12))
                }
        case .sessions: [("SESSIONS", .sessions)]
        case .stats: [("STATS", .stats)]
        case .help: [("HELP", .help)]
        case .watch: [("WATCH", .watch(prefix: "")), ("WATCH a%2A", .watch(prefix: "a%2A"))]
        case .hello:
            [
                ("HELLO", .hello(client: nil, recall: nil)),
                ("HELLO client=- recall=0", .hello(client: Note.none, recall: false)),
                ("HELLO client=a%20b recall=1", .hello(client: note("a b"), recall: true)),
                ("HELLO recall=0 cache=1", .hello(client: nil, recall: false, cache: true)),
            ]
        case .ping: [("PING", .ping)]
        case .quit: [("QUIT", .quit)]
        }
    }
}
