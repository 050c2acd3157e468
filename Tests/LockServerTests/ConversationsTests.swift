import LockVocabulary
import LockWire
import Testing

@testable import LockServer

@Suite("Conversations count their bytes, and know which are ready") final class ConversationsTests {
    private func session(_ number: UInt32) -> SessionID { SessionID(slot: number, serial: number + 1) }

    private var conversations = Conversations(unreadLimit: 100)

    /// Opens a session of an account; sessions are numbered from 0.
    private func open(account: Int = 0) throws -> ConversationIndex {
        let session = session(UInt32(conversations.indices.count))
        conversations.open(
            Conversation(
                session: session, peer: Peer(processID: nil, userID: 0, groupID: 0), since: .zero,
                account: AccountID(rawValue: account), verdict: .none, lineLimit: 80))
        let client = conversations.index(of: session)
        return try #require(client)
    }

    @Test("a write counts the bytes and makes the session ready, once") func write() throws {
        _ = try open()
        let client = try open()
        #expect(conversations.nextReady() == nil)
        conversations[client].write(.pong, nil)
        conversations[client].write(.pong, nil)
        #expect(conversations.buffered == 10)
        #expect(conversations.nextReady() == session(1))
        #expect(conversations.nextReady() == nil)
        conversations[client].dropSent(10, within: 100)
        #expect(conversations.buffered == 0)
        #expect(conversations.nextReady() == nil)
    }

    @Test("a session is ready when it begins to pause, and when it reads again") func pause() throws {
        let client = try open()
        conversations[client].park(Array("PING\n".utf8))
        #expect(conversations.nextReady() == session(0) && conversations.isPaused(client) == true)
        conversations[client].park(Array("PING\n".utf8))
        #expect(conversations.nextReady() == nil && conversations.buffered == 10)
        _ = conversations[client].takeParked()
        #expect(conversations.nextReady() == session(0) && conversations.isPaused(client) == false)
    }

    @Test("a session that is cut off keeps nothing, is ready to be closed, and its place is free") func end()
        throws
    {
        let client = try open()
        conversations[client].write(.pong, nil)
        conversations[client].end(as: .cutOff)
        #expect(conversations.buffered == 0)
        #expect(conversations.openIndex(of: session(0)) == nil)
        #expect(conversations.nextReady() == session(0))
        conversations.close(client)
        #expect(conversations.index(of: session(0)) == nil)
        #expect(conversations.nextReady() == nil)
    }

    @Test("notices of changes are dropped while too much is unread, and then their number is written")
    func missed() throws {
        let client = try open()
        conversations.unreadLimit = 8
        conversations[client].write(.pong, nil)
        conversations[client].write(.pong, nil)
        for _ in 0..<3 { conversations[client].offer(.drain, within: 8) }
        #expect(conversations[client].unread == 10)
        conversations[client].dropSent(5, within: 8)
        conversations[client].offer(.drain, within: 100)
        let unread = String(decoding: conversations[client].output.bytes, as: UTF8.self)
        #expect(unread == "PONG\n! MISSED 3\n! DRAIN\n")
    }

    @Test("the hungriest is the one that keeps most, of the account that keeps most together")
    func hungriest() throws {
        let clients = [try open(account: 0), try open(account: 1), try open(account: 1)]
        for (client, lines) in zip(clients, [3, 2, 2]) {
            for _ in 0..<lines { conversations[client].write(.pong, nil) }
        }
        conversations[clients[2]].write(.bye, nil)
        #expect(conversations.hungriest == clients[2])
    }
}
