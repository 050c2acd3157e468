import TestSupport
import Testing

@testable import prwlock_bench

@Suite("Participants of peers")
struct ParticipantTests {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    /// A participant that is a shell script.
    private func participant(_ script: String, patience: Duration = .seconds(60)) throws -> Participant {
        try Participant(
            ["/bin/sh", "-c", script], environment: ["PATH=/usr/bin:/bin"], log: folder("log"),
            patience: patience)
    }

    @Test("say that they are ready, get an order, and say what they counted")
    func order() throws {
        let participant = try participant(
            """
            echo ready 1.2
            read order
            [ "$order" = "go turns 5000000 7000" ] && echo did 3 6000
            """)
        #expect(participant.beginning == .ready(version: "1.2"))
        try participant.begin(.turns, at: .milliseconds(5), for: .microseconds(7))
        let count = try participant.outcome(by: .now() + .seconds(60))
        #expect(count == Participant.Count(pairs: 3, nanoseconds: 6000))
    }

    @Test("can say what they lack")
    func lacking() throws {
        #expect(try participant("echo missing pip install x").beginning == .missing("pip install x"))
    }

    @Test("that end or fail are reported with their last line on standard error")
    func failing() throws {
        let ended = #expect(throws: Failure.self) { try participant("echo first >&2; echo no module >&2") }
        #expect(ended?.description == "it has ended: no module")
        let failed = try participant("echo ready; read order; echo oh >&2; echo failed to lock")
        try failed.begin(.alone, at: .zero, for: .zero)
        let why = #expect(throws: Failure.self) { try failed.outcome(by: .now() + .seconds(60)) }
        #expect(why?.description == "failed to lock: oh")
    }

    @Test("that do not answer are not waited for, and end")
    func silent() throws {
        let beginning = #expect(throws: Failure.self) {
            try participant("trap '' TERM; while :; do read x; done", patience: .milliseconds(20))
        }
        #expect(beginning?.description == "it does not answer")
        let silent = try participant("echo ready; while :; do read x; done")
        try silent.begin(.alone, at: .zero, for: .zero)
        let why = #expect(throws: Failure.self) { try silent.outcome(by: .now() + .milliseconds(20)) }
        #expect(why?.description == "it does not answer")
    }
}
