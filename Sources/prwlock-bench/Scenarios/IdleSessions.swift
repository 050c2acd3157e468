/// The memory of ten thousand sessions that have sent one request and are idle now.
struct IdleSessions {
    static let count = 10_000

    func measure(_ bench: Bench) throws -> Outcome {
        let rows = try bench.startAll("idle-sessions").map { server in
            bench.progress.say("idle-sessions: \(server.name)")
            let before = server.resident
            let load = Load(of: server.name)
            let greeting = Script()
            try greeting.add(server.service.greeting)
            for _ in 0..<Self.count { try load.connect(to: server.socket, greeting) }
            try load.batches(of: 1, count: 1)
            let after = server.resident
            return Row(
                subject: server.name,
                figures: [
                    Figure("resident", .bytes, [after]),
                    Figure("without sessions", .bytes, [before]),
                    Figure("a session", .bytes, [(after - before) / Double(Self.count)]),
                ])
        }
        let resident = rows[0].figures[0].runs
        return Outcome(rows: rows, claims: [Claim("resident", .atMost, 40e6, in: .bytes, runs: resident)])
    }
}
