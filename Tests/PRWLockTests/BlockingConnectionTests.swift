import Glibc
import LockVocabulary
import LockWire
import Posix
import Testing

@testable import PRWLock

@Suite struct BlockingConnectionTests {
    @Test("a request is sent as a line, and lines are received one by one, wherever they were cut")
    func lines() throws {
        let (near, far) = try UnixSocket.pair().split { ($0.release(), $1.release()) }
        defer { close(far) }
        var connection = BlockingConnection(over: OwnedDescriptor(owning: near))
        try connection.send(Request(verb: .ping))
        #expect(receive(from: far) == "PING\n")

        send("PONG\n! DRAIN\nE", to: far)
        #expect(try connection.next(timeout: .seconds(10)) == .reply(nil, .pong))
        #expect(try connection.next(timeout: .seconds(10)) == .notice(.drain))
        #expect(try connection.next(timeout: .zero) == nil)
        send("ND 3\n", to: far)
        #expect(try connection.next(timeout: .seconds(10)) == .reply(nil, .end(rows: 3)))
    }

    @Test("unknown lines are ignored")
    func unknownLines() throws {
        let (near, far) = try UnixSocket.pair().split { ($0.release(), $1.release()) }
        defer { close(far) }
        var connection = BlockingConnection(over: OwnedDescriptor(owning: near))
        send("HURRAY\n! NEWS x\nPONG\n", to: far)
        #expect(try connection.next() == .reply(nil, .pong))
    }

    @Test("the end of the session is an error, after all lines before it")
    func end() throws {
        let (near, far) = try UnixSocket.pair().split { ($0.release(), $1.release()) }
        var connection = BlockingConnection(over: OwnedDescriptor(owning: near))
        send("BYE\n", to: far)
        close(far)
        #expect(try connection.next() == .reply(nil, .bye))
        do throws(ConnectionEnded) {
            _ = try connection.next()
            Issue.record("it has ended")
        } catch {
            #expect(error.cause == nil)
        }
    }

    private func send(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        #expect(write(descriptor, bytes, bytes.count) == bytes.count)
    }

    private func receive(from descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 1000)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }
}
