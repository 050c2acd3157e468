import CBench
import Glibc

/// One client with one request at a time, beside another user that floods the server.
struct Neighbour {
    /// A client that is stopped except during its turns.
    private final class Flood {
        let process: pid_t

        init(_ kind: bench_flood, at socket: String) throws {
            process = bench_flood_start(socket, kind, geteuid() == 0 ? 65_534 : 0)
            guard process > 0 else { throw Failure("flood", errno: -process) }
            try check(bench_flood_await(process), "flood")
        }

        deinit { bench_flood_end(process) }

        func run(_ wanted: Bool) throws { try check(bench_flood_run(process, wanted), "flood") }
    }

    func measure(_ bench: Bench) throws -> Outcome {
        var daemon = bench.daemon
        daemon.more = ["--socket-mode", "0666"]
        let server = try Server(daemon, in: bench.workplace, named: "neighbour")
        let echo = try Server(EchoServer(), in: bench.workplace, named: "neighbour-echo")
        for one in [server, echo] {
            chmod(one.socket, 0o666)
            chmod(String(one.socket[..<(one.socket.lastIndex(of: "/") ?? one.socket.endIndex)]), 0o755)
        }
        let contenders = [
            try Self.contender("prwlockd alone", server, nil),
            try Self.contender("beside a flood of lines", server, BENCH_FLOOD_LINES),
            try Self.contender("beside lists without end", server, BENCH_FLOOD_LISTS),
            try Self.contender("beside connections", server, BENCH_FLOOD_CONNECTIONS),
            try Self.contender("echo in C alone", echo, nil),
            try Self.contender("beside a flood of lines", echo, BENCH_FLOOD_LINES),
            try Self.contender("beside connections", echo, BENCH_FLOOD_CONNECTIONS),
        ]
        let samples = try bench.contest(contenders, "neighbour")
        func ratios(_ index: Int, to alone: Int) -> [Double] {
            samples[index].quantiles(0.99).ratios(to: samples[alone].quantiles(0.99))
        }
        func claim(_ index: Int, _ what: String) -> Claim {
            Claim("p99 beside \(what) against alone", .atMost, 3.0, runs: ratios(index, to: 0))
        }
        return Outcome(
            rows: zip(contenders, samples).map { $1.row($0.name, processorTime: false) },
            claims: [claim(1, "lines"), claim(2, "lists")],
            noise: [
                Figure("echo beside lines against alone, p99", .ratio, ratios(5, to: 4)),
                Figure("echo beside connections against alone, p99", .ratio, ratios(6, to: 4)),
            ])
    }

    private static func contender(_ name: String, _ server: Server, _ kind: bench_flood?) throws -> Contender
    {
        let flood = try kind.map { try Flood($0, at: server.socket) }
        let work = try RoundTrip.contender(server, lock: "n-\(kind?.rawValue ?? 99)").work
        return Contender(name: name, server: server) { duration, histogram in
            try flood?.run(true)
            let requests = try work(duration, histogram)
            try flood?.run(false)
            // Wait until the server has processed the flood's remaining input, so that no other contender waits for it.
            _ = try work(.milliseconds(2), Histogram())
            return requests
        }
    }
}
