import LockClaims
import LockServer
import LockVocabulary
import SimulatedStore

/// The real server as the daemon of a host.
final class ServerDaemon: SimulatedDaemon {
    /// The facts of the last commit: a next process goes on from them.
    private struct Facts: KeptFacts {
        var bytes: [KeptKey: [UInt8]] = [:]

        func forEachFact<Failure>(
            ofKind kind: UInt8, _ body: (UInt32, UnsafeRawBufferPointer) throws(Failure) -> Void
        ) throws(Failure) {
            for (key, bytes) in bytes.filter({ $0.key.kind == kind }).sorted(by: { $0.key.slot < $1.key.slot }
            ) {
                try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
                    try body(key.slot, UnsafeRawBufferPointer(bytes))
                }
            }
        }
    }

    private var configuration: ServerConfiguration
    private let keepsFacts: Bool
    private var server: Server
    private var facts = Facts()
    private var sessions: [SessionID] = []
    private var partial: [SessionID: [UInt8]] = [:]
    private var callsUntilCheck = 0

    init(_ identity: HostIdentity, _ settings: FleetSettings, _ now: Instant) {
        guard let host = HostName(identity.name) else { preconditionFailure("a host's name") }
        var fleet = ClaimsConfiguration(
            host: host, instance: identity.instance, namePrefixes: settings.prefixes)
        fleet.leaseSeconds = settings.lease.wholeMilliseconds / 1_000
        fleet.minimumTurn = settings.minimumTurn
        fleet.maximumTurn = settings.maximumTurn
        fleet.idleClaims = settings.idleClaims
        fleet.tokenBits = settings.tokenBits
        fleet.highestEpoch = identity.highestEpoch
        var configuration = ServerConfiguration()
        configuration.fleet = fleet
        configuration.program = "prwlockd/simulated"
        configuration.ownUserID = 500
        configuration.firstToken = Token(rawValue: identity.firstToken)
        configuration.lastToken = Token(rawValue: 1 << 62 - 1)
        self.configuration = configuration
        keepsFacts = settings.kills > 0
        server = Server(configuration)
        server.keepsFacts = keepsFacts
    }

    var highestEpoch: Int64 { server.fleetState?.highestEpoch ?? 0 }

    // MARK: - Input

    func open(_ process: Int32, at now: Instant) -> SessionID? {
        let session = server.open(Peer(processID: process, userID: 500, groupID: 1), at: now)
        if let session { sessions.append(session) }
        return session
    }

    func receive(_ line: String, from session: SessionID, at now: Instant) {
        let bytes = Array(line.utf8)
        bytes.withUnsafeBytes { server.receive($0, from: session, at: now) }
        rest(at: now)
    }

    func died(_ session: SessionID, at now: Instant) {
        server.beginEnd(session, at: now)
        server.died(session, at: now)
        rest(at: now)
        server.close(session, at: now)
        sessions.removeAll { $0 == session }
        partial[session] = nil
        rest(at: now)
    }

    func deliver(_ delivery: SimulatedNetwork.Delivery, at now: Instant) {
        switch delivery {
        case .answer(let id, let answer): server.storeAnswer(id, answer, at: now)
        case .event(let event): server.storeEvent(event, at: now)
        }
        rest(at: now)
    }

    func advance(to now: Instant) {
        server.advance(to: now)
        rest(at: now)
    }

    private func rest(at now: Instant) {
        while server.hasUnfinishedWork { server.resumeWork(at: now) }
    }

    var nextDeadline: Instant? { server.nextDeadline }

    // MARK: - Output

    /// What has changed is committed before anything leaves.
    func commit() {
        // The file of the daemon outlives its process.
        configuration.fleet?.highestEpoch = highestEpoch
        guard keepsFacts else { return }
        server.forEachChangedFact { key, bytes in facts.bytes[key] = bytes.map { Array($0) } }
        server.noteCommitted()
    }

    func nextRequest(
        at now: Instant
    ) -> (id: StoreRequestID, request: StoreRequest, deadline: Instant)? {
        server.nextStoreRequest(at: now)
    }

    func takeLines(at now: Instant) -> [(session: SessionID, line: String)] {
        var lines: [(SessionID, String)] = []
        for session in sessions {
            let bytes = server.withOutput(of: session) { Array($0) }
            guard !bytes.isEmpty else { continue }
            server.wrote(bytes.count, to: session, at: now)
            var text = (partial[session] ?? []) + bytes
            while let end = text.firstIndex(of: 10) {
                lines.append((session, String(decoding: text[..<end], as: UTF8.self)))
                text.removeSubrange(...end)
            }
            partial[session] = text
        }
        while server.nextReadySession() != nil {}
        return lines
    }

    // MARK: - Ends

    func succeed(at now: Instant) throws {
        commit()
        var next = Server(configuration)
        next.keepsFacts = keepsFacts
        if !facts.bytes.isEmpty { try next.restore(facts, at: now) }
        server = next
        advance(to: now)
    }

    func leave(at now: Instant) {
        server.leaveFleet(at: now)
        rest(at: now)
    }

    func check() throws {
        // A check costs more than all else; so not each batch has one.
        callsUntilCheck -= 1
        guard callsUntilCheck < 0 else { return }
        callsUntilCheck = 7
        try server.checkInvariants()
    }
}
