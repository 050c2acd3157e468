import LockCore
import LockServer
import LockVocabulary

/// Fuzzes the whole server with small limits and three sessions. The input selects their actions. The invariants are
/// checked after each step, and no state may be left when all sessions have ended.
///
/// A step is a byte: the last two bits select the session, the other bits the action. The text to send is the rest of
/// the line, with or without its line feed.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzServer(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var world = FuzzedServer()
    world.live(UnsafeRawBufferPointer(start: start, count: count))
    world.end()
    return 0
}

private struct FuzzedServer: ~Copyable {
    private var server: Server
    private var now = Instant.zero
    private var limits: ServerConfiguration.Limits
    private var sessions: [SessionID?] = [nil, nil, nil]

    init() {
        var configuration = ServerConfiguration()
        configuration.lastToken = Token(rawValue: 30)
        configuration.ownUserID = 1
        configuration.limits.line = 200
        configuration.limits.unread = 500
        configuration.limits.unreadAtMost = 1_500
        configuration.limits.buffers = 4_000
        configuration.limits.rules.sessions = 3
        configuration.limits.rules.sessionGrants = 12
        configuration.limits.rules.sessionWaiters = 3
        configuration.limits.rules.locks = 6
        configuration.limits.rules.marks = 2
        limits = configuration.limits
        server = Server(configuration)
    }

    mutating func live(_ input: UnsafeRawBufferPointer) {
        var place = 0
        while place < input.count {
            let step = input[place]
            let number = Int(step & 3) % sessions.count
            place += 1
            guard let session = sessions[number] else {
                let peer = Peer(processID: Int32(number), userID: UInt32(step >> 4 & 1), groupID: 1)
                sessions[number] = server.open(peer, at: now)
                continue
            }
            switch step >> 2 & 15 {
            case 8:
                // Send the same line a hundred times: a flood that exceeds a turn.
                let end = input[place...].firstIndex(of: 10) ?? input.count
                let line = Array(input[place..<end]) + [10]
                let flood = (0..<100).flatMap { _ in line }
                flood.withUnsafeBytes { server.receive($0, from: session, at: now) }
                place = min(end + 1, input.count)
            case ..<8:
                let end = input[place...].firstIndex(of: 10) ?? input.count
                // Mostly send the line feed; sometimes cut before it, or within the line.
                let stop =
                    switch step >> 2 & 15 {
                    case 0: end
                    case 1: (place + end) / 2
                    default: min(end + 1, input.count)
                    }
                server.receive(
                    UnsafeRawBufferPointer(rebasing: input[place..<stop]), from: session, at: now)
                place = min(max(stop, place + 1), input.count)
            case 9: pass(.milliseconds(Int(step >> 6) * 7 + 1))
            case 10: take(session, 1 + Int(step >> 6) * 100)
            case 11: take(session, .max)
            case 12:
                server.beginEnd(session, at: now)
                server.endOfInput(session, wasKilled: { step > 127 }, at: now)
            case 13:
                server.died(session, at: now)
                close(number)
            case 14: server.resumeWork(at: now)
            default:
                if step >> 6 == 1 {
                    let end = input[place...].firstIndex(of: 10) ?? input.count
                    rule(by: input[place..<end])
                    place = min(end + 1, input.count)
                } else {
                    keepHouse(number, session, step >> 6)
                }
            }
            do {
                try server.checkInvariants()
            } catch {
                fatalError("\(error)")
            }
        }
    }

    /// Sets new rules; `;` ends a line of them.
    private mutating func rule(by words: Slice<UnsafeRawBufferPointer>) {
        let text = String(decoding: words, as: UTF8.self).replacing(";", with: "\n")
        guard let policy = try? Policy(parsing: text, PolicyNames(user: { _ in nil }, group: { _ in nil }))
        else { return }
        precondition(policy.facts.isSubset(of: [.groups, .unit, .executable]))
        server.setPolicy(policy) { _ in Peer.Identity() }
    }

    /// Actions of the daemon's shell and of an operator.
    private mutating func keepHouse(_ number: Int, _ session: SessionID, _ what: UInt8) {
        switch what {
        case 0: if server.interest(in: session) == .close { close(number) }
        case 2:
            limits.rules.sessionGrants -= 1
            limits.rules.marks -= 1
            server.setLimits(limits)
        default:
            _ = server.takeEvents()
            _ = server.isAlone(session)
            let more = server.open(Peer(processID: nil, userID: 2, groupID: 2), at: now)
            if let vacant = sessions.firstIndex(of: nil) {
                sessions[vacant] = more
            } else {
                precondition(more == nil, "there are more sessions than may be")
            }
            precondition(!Server.refusal.isEmpty)
            server.allowTokens(through: Token(rawValue: server.tokensLeft + 20))
            if now.nanoseconds % 3 == 2 { server.drain() }
            while server.nextReadySession() != nil {}
        }
    }

    private mutating func pass(_ duration: Duration) {
        now = now.advanced(by: duration)
        server.advance(to: now)
    }

    private mutating func take(_ session: SessionID, _ most: Int) {
        let count = server.withOutput(of: session) { min($0.count, most) }
        server.wrote(count, to: session, at: now)
    }

    private mutating func close(_ number: Int) {
        if let session = sessions[number] { server.close(session, at: now) }
        sessions[number] = nil
    }

    /// Ends all sessions.
    mutating func end() {
        for number in sessions.indices { close(number) }
        // After this time no account is throttled.
        pass(.seconds(100_000))
        server.resumeWork(at: now)
        precondition(server.sessionCount == 0 && server.isIdle, "a grant or a waiter is left")
        precondition(server.buffered == 0, "bytes are left")
        precondition(server.lockCount <= 2, "more locks are left than there are marks")
        precondition(server.nextDeadline == nil, "a deadline is left")
    }
}
