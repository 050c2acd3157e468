import Glibc
import Keeping
import LockServer
import LockVocabulary
import Posix

/// The start of a worker that goes on where another one died (G14).
///
/// Between the two, clients may have sent lines, half-closed, closed or died. The first batch is like any other: it reads,
/// finds all ends, carries out the lines of those that ended, and only then the others and what is due. So no session that
/// died meanwhile is granted anything, and what it sent before is carried out (G6).
extension Reactor {
    /// Goes on with the sessions that the server has from a former worker.
    ///
    /// - Parameters:
    ///   - facts: what the former worker left beside the server's state.
    ///   - sockets: all that came out of the parcel. The reactor owns them from now on.
    ///   - hasCrashed: whether a former worker crashed or hung, and was not killed from outside.
    mutating func goOn(with facts: Continuity.Facts, sockets: [Int32], afterCrash hasCrashed: Bool) {
        guard let parcel = continuity.inspect({ $0.parcel }) else {
            preconditionFailure("nothing to go on from")
        }
        for (slot, count) in facts.sent {
            server.restoreSent(
                count, at: slot, inDoubt: facts.inDoubt?.slot == slot ? facts.inDoubt?.count ?? 0 : 0)
        }
        var open: [UInt32: (session: SessionID, peer: Peer)] = [:]
        for (session, peer) in server.openConnections { open[session.slot] = (session, peer) }
        var files: [Int32] = []
        for socket in sockets {
            if UnixSocket.cookie(of: socket) == nil {
                files.append(socket)
                continue
            }
            let client = ClientSocket(OwnedDescriptor(owning: socket), outOf: parcel)
            let slot = UnixSocket.cookie(of: socket).flatMap { facts.sockets[$0] }
            if let slot, let (session, peer) = open.removeValue(forKey: slot) {
                restore(session, peer, client)
            } else {
                // It was accepted and had no session yet, or its session was about to be closed.
                _ = try? connections.welcome(client, to: &server, at: now)
            }
        }
        lost = open.values.map(\.session)
        restoreSlots(of: files, facts, parcel)
        mustFindEnds = true
        if beginCare(afterCrash: hasCrashed) { return }
        for slice in continuity.inspect({ $0.input }) ?? [] { arena.take(slice.bytes, for: slice.session) }
    }

    /// Maps the memory for cached grants again. A session that misses its memory ends: its client could go on to take locks.
    private mutating func restoreSlots(of files: [Int32], _ facts: Continuity.Facts, _ parcel: SocketParcel) {
        var numbers: [UInt32: Int32] = [:]
        for number in files {
            let identity = UnixSocket.identity(of: number)
            if let identity, identity == facts.serving {
                slots.restoreServing(OwnedDescriptor(owning: number))
            } else if let slot = identity.flatMap({ facts.slots[$0] }) {
                numbers[slot] = number
            } else {
                parcel.remove(number)
                Glibc.close(number)
            }
        }
        for session in server.sessionsWithoutSlots {
            let isUnsent = server.withOutput(of: session) { !$0.isEmpty }
            let memory = numbers.removeValue(forKey: session.slot).flatMap {
                slots.restore(OwnedDescriptor(owning: $0), of: session, isUnsent: isUnsent)
            }
            if let memory {
                server.setSlots(memory, of: session)
            } else if connections[session] != nil {
                note(.closed, of: session)
            }
        }
        for number in numbers.values {
            parcel.remove(number)
            Glibc.close(number)
        }
    }

    private mutating func restore(_ session: SessionID, _ peer: Peer, _ socket: consuming ClientSocket) {
        do throws(SystemError) {
            let connection = try connections.restore(session, peer, socket, in: waiting.events)
            visits.append(session)
            if connection.watch == .gone { note(.processDied, of: session) }
        } catch {
            shortage = error
            note(.closed, of: session)
        }
    }

    /// Carries out what was read from the sessions of which no socket is left, and ends them. Call `beginEnds` before it.
    mutating func endLost() {
        for index in 0..<arena.slices.count where lost.contains(arena.slices[index].session) {
            receive(arena.slices[index])
            arena.noteReceived(index)
        }
        for session in lost {
            server.died(session, at: now)
            server.close(session, at: now)
            slots.forget(session)
        }
        lost = []
    }
}
