import LockWire

/// The rows of `HELP`: every request with its arguments, for a person who types requests.
enum Help {
    static let rows: [Row] = (Request.forms + [notes]).map(Row.text)

    private static let notes =
        "Durations: 250ms 5s 2m 1h, 0, forever. A #tag before a request is echoed before its reply."
}
