/// The throughput of a server: fifty clients with sixteen requests in flight each.
struct Pipelined {
    static let connections = 50
    static let depth = 16

    func measure(_ bench: Bench) throws -> Outcome {
        let contenders = try bench.startAll("pipelined").map { server in
            try Self.contender(server, lease: true)
        }
        let samples = try bench.contest(contenders, "pipelined")
        let rows = zip(contenders, samples).map { $1.row($0.name) }
        guard bench.redis != nil, let redis = samples.last else { return Outcome(rows: rows, claims: []) }
        let ratios = samples[0].rates.ratios(to: redis.rates)
        return Outcome(
            rows: rows, claims: [Claim("requests/s against redis-server", .atLeast, 2.0, runs: ratios)])
    }

    /// Many connections, each of which acquires and releases locks of its own.
    static func contender(_ server: Server, lease: Bool, locksEach: Int = 8) throws -> Contender {
        let load = Load(of: server.name)
        for connection in 0..<connections {
            let script = Script()
            for lock in 0..<locksEach {
                try server.service.addPair("lock-\(connection)-\(lock)", lease: lease, to: script)
            }
            try load.connect(to: server.socket, script)
        }
        return Contender(name: server.name, server: server) { duration, histogram in
            let before = load.answers
            try load.batches(of: depth, for: duration, into: histogram)
            return load.answers - before
        }
    }
}
