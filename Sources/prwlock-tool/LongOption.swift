/// A long option of a subcommand, with all its names.
///
/// The argument parser has the same table, but does not expose it. A test compares this table with the output of
/// `--help`.
struct LongOption: Equatable {
    let names: [String]
    let takesValue: Bool

    private init(_ names: String..., value takesValue: Bool = false) {
        self.names = names
        self.takesValue = takesValue
    }

    static let bySubcommand: [String: [LongOption]] = [
        "run": lock + running + names + daemon + everywhere,
        "hold": lock + process + holding + names + daemon + everywhere,
        "release": process + names + daemon + everywhere,
        "status": showing + names + daemon + everywhere,
        "list": showing + names + daemon + everywhere,
        "hot": costs + showing + names + daemon + everywhere,
        "sessions": showing + daemon + everywhere,
        "stats": showing + metrics + daemon + everywhere,
        "watch": showing + names + daemon + everywhere,
        "wait": waiting + showing + names + daemon + everywhere,
        "graph": graph + names + daemon + everywhere,
        "top": looking + showing + names + daemon + everywhere,
        "ping": showing + daemon + everywhere,
        "doctor": showing + daemon + everywhere,
        "log": logging + showing + names + daemon + everywhere,
        "validate": showing + names + daemon + everywhere,
        "revoke": names + daemon + everywhere,
        "upgrade": showing + daemon + everywhere,
        "help": [],
    ]

    private static let everywhere = [LongOption("help"), LongOption("version")]
    private static let names = [LongOption("encoded")]
    private static let daemon = [LongOption("socket", value: true)]
    private static let showing = [LongOption("json")]
    private static let waiting = [
        LongOption("shared", "read"), LongOption("nb", "nonblock", "nonblocking"),
        LongOption("wait", "timeout", value: true), LongOption("conflict-exit-code", value: true),
    ]
    private static let graph = [
        LongOption("dot"), LongOption("mermaid"), LongOption("svg"), LongOption("html"), LongOption("json"),
        LongOption("limit", value: true),
    ]
    private static let costs = [LongOption("by", value: true), LongOption("limit", value: true)]
    private static let metrics = [
        LongOption("openmetrics"), LongOption("prometheus"), LongOption("locks", value: true),
        LongOption("output", value: true), LongOption("http"),
    ]
    private static let process = [LongOption("pid", value: true)]
    private static let lock = [
        LongOption("shared", "read"), LongOption("exclusive", "write"), LongOption("update"),
        LongOption("nb", "nonblock", "nonblocking"), LongOption("wait", "timeout", value: true),
        LongOption("conflict-exit-code", value: true), LongOption("lease", value: true),
        LongOption("note", value: true), LongOption("verbose"), LongOption("unlock"),
    ]
    private static let running = [
        LongOption("close"), LongOption("no-fork"), LongOption("command", value: true),
        LongOption("kill-after", value: true), LongOption("inherit"),
    ]
    private static let logging = [
        LongOption("since", value: true), LongOption("until", value: true), LongOption("lines", value: true),
        LongOption("follow"),
    ]
    private static let looking = [
        LongOption("interval", value: true), LongOption("sort", value: true), LongOption("once"),
        LongOption("ascii"),
    ]
    private static let holding = [LongOption("print-token"), LongOption("no-signal")]
}
