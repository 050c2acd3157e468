import LockVocabulary
public import LockWire

extension Examples {
    /// Every row of a listing.
    public static let rows: [Example<Row>] = RowKind.allCases.flatMap { kind in
        kind.examples.map { line, row in
            precondition(RowKind(row) == kind, "\(line) is an example of another row")
            return Example(line, row)
        }
    }
}

extension Examples {
    /// Every notice.
    public static let notices: [Example<Notice>] = NoticeKind.allCases.flatMap { kind in
        kind.examples.map { line, notice in
            precondition(NoticeKind(notice) == kind, "\(line) is an example of another notice")
            return Example(line, notice)
        }
    }
}

/// The cases of `Row`.
private enum RowKind: CaseIterable {
    case holder, cached, waiter, claim, claimWaiter, lock, hot, session, stat, text

    init(_ row: Row) {
        self =
            switch row {
            case .holder: .holder
            case .cached: .cached
            case .waiter: .waiter
            case .claim: .claim
            case .claimWaiter: .claimWaiter
            case .lock: .lock
            case .hot: .hot
            case .session: .session
            case .stat: .stat
            case .text: .text
            }
    }

    private func hot(_ set: (inout Row.Hot) -> Void) -> Row.Hot {
        var row = Row.Hot(name: jobs)
        set(&row)
        return row
    }

    var examples: [(String, Row)] {
        switch self {
        case .holder:
            [
                (
                    "* holder pid=811 mode=write owner=- token=42 age=3s lease=- note=nightly",
                    .holder(
                        .init(
                            processID: 811, mode: .write, owner: .session, token: token, age: .seconds(3),
                            leaseLeft: nil, note: note("nightly")))
                ),
                (
                    "* holder pid=? mode=read owner=t1 token=42 age=250ms lease=29.007s note=-",
                    .holder(
                        .init(
                            processID: nil, mode: .read, owner: owner, token: token, age: .milliseconds(250),
                            leaseLeft: .milliseconds(29_007), note: .none))
                ),
            ]
        case .cached:
            [
                (
                    "* cached pid=811 mode=read owner=t1 token=42 age=3s note=-",
                    .cached(
                        .init(
                            processID: 811, mode: .read, owner: owner, token: token, age: .seconds(3),
                            leaseLeft: nil, note: .none))
                )
            ]
        case .waiter:
            [
                (
                    "* waiter pid=902 mode=write owner=- waited=2s timeout=5s note=- upgrades=42",
                    .waiter(
                        .init(
                            processID: 902, mode: .write, owner: .session, waited: .seconds(2),
                            timeout: .upTo(.seconds(5)), note: .none, upgrades: token))
                ),
                (
                    "* waiter pid=902 mode=read owner=t1 waited=2s timeout=forever note=- upgrades=-",
                    .waiter(
                        .init(
                            processID: 902, mode: .read, owner: owner, waited: .seconds(2), timeout: .forever,
                            note: .none))
                ),
                (
                    "* waiter pid=902 mode=read owner=t1 waited=2s timeout=1500ms note=n upgrades=-",
                    .waiter(
                        .init(
                            processID: 902, mode: .read, owner: owner, waited: .seconds(2),
                            timeout: .upTo(.milliseconds(1500)), note: note("n")))
                ),
            ]
        case .claim:
            [("* claim host=web1 mode=write", .claim(.init(host: host("web1"), mode: .write)))]
        case .claimWaiter:
            [
                (
                    "* claim-waiter host=2_b.example mode=read",
                    .claimWaiter(.init(host: host("2_b.example"), mode: .read))
                )
            ]
        case .lock:
            [
                (
                    "* lock jobs mode=write holders=1 waiters=0 ownerdied=maybe claim=write host=web1",
                    .lock(
                        .init(
                            name: jobs, mode: .write, holders: 1, waiters: 0, ownerDied: .maybe,
                            claim: .init(mode: .write, host: host("web1"))))
                ),
                (
                    "* lock jobs mode=read holders=1 waiters=0 ownerdied=0 claim=read host=web1",
                    .lock(
                        .init(
                            name: jobs, mode: .read, holders: 1, waiters: 0, ownerDied: nil,
                            claim: .init(mode: .read, host: host("web1"))))
                ),
                (
                    "* lock jobs mode=- holders=0 waiters=1 ownerdied=0 claim=none host=-",
                    .lock(
                        .init(
                            name: jobs, mode: nil, holders: 0, waiters: 1, ownerDied: nil,
                            claim: .init(mode: nil, host: nil)))
                ),
                (
                    "* lock jobs mode=read holders=1 waiters=0 ownerdied=0 cached=2",
                    .lock(
                        .init(
                            name: jobs, mode: .read, holders: 1, waiters: 0, ownerDied: nil, cached: 2))
                ),
                (
                    "* lock jobs mode=write holders=1 waiters=2 ownerdied=0",
                    .lock(.init(name: jobs, mode: .write, holders: 1, waiters: 2, ownerDied: nil))
                ),
                (
                    "* lock jobs mode=- holders=0 waiters=0 ownerdied=1",
                    .lock(.init(name: jobs, mode: nil, holders: 0, waiters: 0, ownerDied: .yes))
                ),
                (
                    "* lock jobs mode=write holders=1 waiters=2 ownerdied=0 waited=2s",
                    .lock(
                        .init(
                            name: jobs, mode: .write, holders: 1, waiters: 2, ownerDied: nil,
                            waited: .seconds(2)))
                ),
            ]
        case .hot:
            [
                (
                    """
                    * hot jobs grants=0 waits=0 waited=0ms held=0ms longest=0ms behind=- ago=- over=0 \
                    wait-buckets=0 hold-buckets=0
                    """,
                    .hot(hot { ($0.waitBuckets, $0.holdBuckets) = ([0], [0]) })
                ),
                (
                    """
                    * hot jobs grants=48 waits=3 waited=4s held=2.500s longest=2s behind=811/write ago=3s over=70 \
                    wait-buckets=1,0,2 hold-buckets=48,0,0
                    """,
                    .hot(
                        hot {
                            ($0.grants, $0.waits, $0.over) = (48, 3, 70)
                            ($0.waited, $0.held) = (.seconds(4), .milliseconds(2_500))
                            ($0.longest, $0.ago) = (.seconds(2), .seconds(3))
                            $0.behind = .init(processID: 811, mode: .write)
                            ($0.waitBuckets, $0.holdBuckets) = ([1, 0, 2], [48, 0, 0])
                        })
                ),
            ]
        case .session:
            [
                (
                    "* session id=7 pid=811 uid=4294967294 client=backup grants=1 waiters=0 age=3s",
                    .session(
                        .init(
                            id: 7, processID: 811, userID: 4_294_967_294, client: note("backup"), grants: 1,
                            waiters: 0, age: .seconds(3)))
                )
            ]
        case .stat: [("* grants 17", .stat(name: "grants", value: 17))]
        case .text: Request.forms.map { ("* \($0)", .text($0)) }
        }
    }
}

/// The cases of `Notice`.
private enum NoticeKind: CaseIterable {
    case expired, revoked, recall, until, missed, drain, resumed, changed

    init(_ notice: Notice) {
        self =
            switch notice {
            case .expired: .expired
            case .revoked: .revoked
            case .recall: .recall
            case .until: .until
            case .missed: .missed
            case .drain: .drain
            case .resumed: .resumed
            case .changed: .changed
            }
    }

    var examples: [(String, Notice)] {
        switch self {
        case .expired: [("! EXPIRED jobs token=42", .expired(jobs, token))]
        case .revoked: [("! REVOKED jobs token=42", .revoked(jobs, token))]
        case .recall: [("! RECALL jobs token=42", .recall(jobs, token))]
        case .until: [("! UNTIL until=8000ms clock=123456789ms", .until(moment))]
        case .missed: [("! MISSED 3", .missed(3))]
        case .drain: [("! DRAIN", .drain)]
        case .resumed: [("! RESUMED from=3", .resumed(from: 3))]
        case .changed:
            ChangeKind.allCases.map { change in
                (
                    "! CHANGED jobs \(change.rawValue) pid=811 mode=write token=42 owner=- tag=- request=- upgrades=-",
                    .changed(.init(name: jobs, change: change, processID: 811, mode: .write, token: token))
                )
            } + [
                (
                    "! CHANGED jobs waiting pid=? mode=write token=- owner=t1 tag=#- request=0 upgrades=7",
                    .changed(
                        .init(
                            name: jobs, change: .waiting, processID: nil, mode: .write, token: nil,
                            owner: owner,
                            tag: tag("-"), request: 0, upgrades: Token(rawValue: 7)))
                )
            ]
        }
    }
}
