import LockWire

/// What `HELP` says: every request with its arguments, for someone who types by hand.
enum Help {
    static let rows: [Row] = (Request.forms + [notes]).map(Row.text)

    private static let notes =
        "Durations: 250ms 5s 2m 1h, 0, forever. A #tag before a request is echoed before its reply."
}
