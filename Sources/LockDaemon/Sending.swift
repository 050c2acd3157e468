import LockClaims
import LockServer
import LockVocabulary
import Posix

/// SEND: what a batch has brought about is committed, and then goes to the clients.
extension Reactor {
    mutating func send() {
        noteStoreRequests()
        collectVisits()
        // What is sent must not be forgotten: the next worker goes on from here.
        commit()
        guard !visits.isEmpty else { return }
        hasWorked = true
        swap(&visits, &visited)
        // Most sessions need nothing but their output. The others stay in `visited`, which may have a session twice.
        var left = 0
        for index in 0..<visited.count {
            let session = visited[index]
            guard let connection = connections[session] else { continue }
            if !connection.isFull, !connection.hasSent, sendOutput(of: connection) { continue }
            visited[left] = session
            left += 1
        }
        visited.removeAll(from: left)
        // Room lets lines go on, and what follows from them is not committed yet: so this comes after all sends.
        for index in 0..<outcomes.count { note(outcomes[index].outcome, of: outcomes[index].session) }
        outcomes.removeAll()
        for index in 0..<visited.count {
            if let connection = connections[visited[index]] { visit(connection) }
        }
        visited.removeAll()
        // A session that has room for more rows gets them in the next batch, after the other sessions.
        if server.hasReadySessions { collectVisits() }
    }

    mutating func commit() {
        noteNewSlots()
        if isKept, mayHaveNewSlots {
            slots.takeUnnoted {
                continuity?.bindSlots(of: $0, to: $1)
            } serving: {
                continuity?.bindServing(to: $0)
            }
        }
        if isKept, let hasRoom = continuity?.commit(&server) {
            server.isFull = !hasRoom
            server.noteCommitted()
        }
    }

    /// Takes note of whether there are new slots.
    private mutating func noteNewSlots() {
        if server.hasCalledSlotMaker {
            server.hasCalledSlotMaker = false
            mayHaveNewSlots = true
        } else if mayHaveNewSlots, slots.unsent.isEmpty, !isKept || !slots.hasUnnoted {
            mayHaveNewSlots = false
        }
    }

    mutating func collectVisits() {
        server.takeReadySessions { visits.append($0) }
    }

    /// Waits for the conditions that the server wants, or closes the session.
    private mutating func visit(_ connection: Connection) {
        switch server.interest(in: connection.session) {
        case .close: close(connection)
        case .open(let reads, let writes):
            connection.reads = reads && !(connection.end?.isComplete ?? false)
            var awaited: Conditions = connection.end == nil ? .halfClosed : []
            if connection.reads { awaited.insert(.readable) }
            if writes && connection.isFull { awaited.insert(.writable) }
            guard awaited != connection.awaited else { return }
            connection.awaited = awaited
            guard connection.isMember else { return }
            waiting.events.change(connection.socket.rawValue, .session(connection.session), awaited)
        }
    }

    /// Sends what a session has to be sent. Returns whether nothing else is to be done for it.
    private mutating func sendOutput(of connection: Connection) -> Bool {
        let session = connection.session
        let outcome: Connection.SendOutcome? = server.withOutput(of: session) { output in
            guard !output.isEmpty else { return nil }
            if mayHaveNewSlots { connection.descriptors = slots.descriptors(for: session) ?? [] }
            if !isKept { return connection.send(output) }
            return Self.sendLines(output, to: connection, noting: &continuity)
        }
        guard let outcome else { return false }
        if mayHaveNewSlots, connection.descriptors.isEmpty { slots.noteSent(to: session) }
        if case .all(let count) = outcome, connection.awaitsOnlyLines, server.wroteLast(count, to: session) {
            return true
        }
        connection.hasSent = true
        outcomes.append((session, outcome))
        return false
    }

    /// Sends lines in portions that a socket takes whole or not at all, and notes each of them before and after.
    private static func sendLines(
        _ output: UnsafeRawBufferPointer, to connection: Connection, noting continuity: inout Continuity?
    ) -> Connection.SendOutcome {
        var sent = 0
        while sent < output.count {
            let portion = output.wholeLines(from: sent, atMost: Arena.portion)
            continuity?.willSend(to: connection.session, upTo: sent + portion.count)
            let outcome = connection.send(portion)
            switch outcome {
            case .all(let count), .part(let count): sent += count
            case .broken: return .broken
            }
            continuity?.didSend(to: connection.session, sent: sent)
            if case .part = outcome { return .part(sent) }
        }
        return .all(sent)
    }

    private mutating func note(_ outcome: Connection.SendOutcome, of session: SessionID) {
        connections[session]?.hasSent = false
        switch outcome {
        case .all(let count): server.wrote(count, to: session, at: now)
        case .part(let count):
            connections[session]?.isFull = true
            server.wrote(count, to: session, at: now)
        case .broken: note(.closed, of: session)
        }
    }
}

// MARK: - The cluster

extension Reactor {
    /// Removes and returns what is to be sent to the cluster.
    mutating func takeStoreRequests() -> [(id: StoreRequestID, request: StoreRequest, deadline: Instant)] {
        guard !storeRequests.isEmpty else { return [] }
        defer { storeRequests = [] }
        return storeRequests
    }

    /// Notes what the server asks of the cluster. What follows from it is committed next.
    mutating func noteStoreRequests() {
        guard server.isInFleet else { return }
        // The process may have been stopped since the batch began.
        tick()
        while let request = server.nextStoreRequest(at: now) { storeRequests.append(request) }
    }
}
