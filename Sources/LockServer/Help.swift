import LockWire

/// What `HELP` says: every request with its arguments, for someone who types by hand.
enum Help {
    static let rows: [Row] = text.split(separator: "\n").map { .text(String($0)) }

    private static let text = """
        READ|UPDATE|WRITE name [wait=5s] [lease=30s] [owner=word] [note=text]
        RELEASE name [token=n] [owner=word]
        UPGRADE name [wait=5s] [token=n] [owner=word]
        DOWNGRADE name [to=read|update] [token=n] [owner=word]
        RENEW name [lease=30s] [token=n] [owner=word]
        CANCEL name [owner=word] | CANCEL #tag
        VALIDATE name token=n
        REVOKE name token=n
        STATUS name
        LIST [prefix] [after=name] [limit=n]
        SESSIONS
        STATS
        WATCH [prefix]
        HELLO [client=name] [recall=1]
        PING
        QUIT
        Durations: 250ms 5s 2m 1h, 0, forever. A #tag before a request is echoed before its reply.
        """
}
