import ArgumentParser

/// What can be measured, each beside the C echo server and what else the machine has.
enum Scenario: String, CaseIterable, ExpressibleByArgument {
    case roundTrip = "round-trip"
    case pipelined

    var summary: String {
        switch self {
        case .roundTrip: "one request at a time, WRITE and RELEASE of a free lock in turns"
        case .pipelined:
            "\(Pipelined.connections) connections with \(Pipelined.depth) requests in flight each"
        }
    }

    func measure(_ bench: Bench) throws -> Outcome {
        switch self {
        case .roundTrip: try RoundTrip().measure(bench)
        case .pipelined: try Pipelined().measure(bench)
        }
    }
}
