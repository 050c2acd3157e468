import LockClaims
import Seeded
import Testing

@testable import EtcdClient

/// The expected bytes follow from the definition of the format and the numbers in `rpc.proto`. `LinkTests` shows that etcd
/// understands them.
@Suite("Messages are those of etcd")
struct MessageTests {
    @Test("numbers and bytes have protobuf's form")
    func fields() {
        var writer = ProtobufWriter()
        writer.add(1, Int64(150))
        writer.add(2, "testing")
        writer.add(3, Int64(0))
        writer.add(4, [])
        writer.add(64, Int64(-1))
        writer.add(5) { _ in }
        #expect(
            writer.bytes
                == bytes("08 96 01 12 07 74 65 73 74 69 6e 67 80 04 ff ff ff ff ff ff ff ff ff 01 2a 00"))
    }

    @Test("a transaction that compares, puts, and reads otherwise")
    func transaction() {
        let transaction = Transaction(
            if: [
                .modified(key: [0x61], at: 5), .created(key: [0x62], at: 0), .notCreated(key: [0x62], at: 7),
            ],
            then: [.put(key: [0x61], value: [0x78], lease: 300), .delete(key: [0x63])],
            otherwise: [.get(key: [0x61])])
        let expected = """
            0a 07 10 02 1a 01 61 30 05 0a 05 10 01 1a 01 62 0a 09 08 03 10 01 1a 01 62 28 07
            12 0b 12 09 0a 01 61 12 01 78 18 ac 02 12 05 1a 03 0a 01 63 1a 05 0a 03 0a 01 61
            """
        #expect(RequestMessage.transaction(transaction) == bytes(expected))
    }

    @Test("a list begins after a key and ends with its prefix")
    func list() {
        let list = Transaction(then: [.list(prefix: [0x61, 0x2F], after: [0x61, 0x2F, 0x62], limit: 9)])
        #expect(
            RequestMessage.transaction(list) == bytes("12 0e 0a 0c 0a 04 61 2f 62 00 12 02 61 30 18 09"))
    }

    @Test("the end of a prefix is the first key after all that begin with it")
    func ends() {
        #expect(KeyRange.end(of: [0x61]) == [0x62])
        #expect(KeyRange.end(of: [0x61, 0xFF]) == [0x62])
        #expect(KeyRange.end(of: [0xFF, 0xFF]) == [0])
        #expect(KeyRange.end(of: []) == [0])
        #expect(KeyRange.start(of: []) == [0])
    }

    @Test("a watch asks for fragments")
    func watch() {
        #expect(RequestMessage.watch(prefix: [0x61], from: 7) == bytes("0a 0a 0a 01 61 12 01 62 18 07 40 01"))
    }

    @Test("an answer to a transaction has its reads in order")
    func transactionResponse() throws {
        let message = bytes(
            """
            0a 04 18 09 20 02 10 01 1a 04 12 02 0a 00
            1a 12 0a 10 12 0e 0a 01 61 10 05 18 06 20 01 2a 01 78 30 07
            """)
        let response = try TransactionResponse(message[...])
        #expect(response.head == ResponseHead(revision: 9, term: 2))
        #expect(response.succeeded)
        let pair = KeyValue(key: [0x61], value: [0x78], created: 5, modified: 6, lease: 7)
        #expect(response.reads == [[], [pair]])
    }

    @Test("a watch's answer has puts and deletions")
    func watchResponse() throws {
        let message = bytes("38 01 5a 0b 12 09 0a 01 61 10 03 18 04 20 02 5a 09 08 01 12 05 0a 01 61 18 05")
        let response = try WatchResponse(message[...])
        #expect(response.isFragment)
        #expect(
            response.changes == [
                .put(KeyValue(key: [0x61], value: [], created: 3, modified: 4)), .deleted(key: [0x61], at: 5),
            ])
    }

    @Test("no bytes crash a reader", arguments: SeededGenerator.seeds)
    func hostile(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let good = bytes("0a 04 18 09 20 02 10 01 1a 04 12 02 0a 00 5a 0a 12 08 0a 01 61 10 03 18 04 20 02")
        for _ in 0..<20_000 {
            var message = good.prefix(generator.number(0...good.count))
            for _ in 0..<generator.number(0...4) where !message.isEmpty {
                message[generator.number(0...message.count - 1)] = UInt8(generator.number(0...255))
            }
            if generator.happens(20) {
                message = [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F] + message
            }
            _ = try? TransactionResponse(message)
            _ = try? WatchResponse(message)
            _ = try? LeaseResponse(message)
            _ = try? StatusResponse(message)
            _ = try? authenticationToken(message)
        }
    }

    @Test("a message that is cut off, or too long a number, throws")
    func damage() {
        let all = bytes("0a 04 18 09 20 02 10 01")
        for count in [1, 3, 5, 7] {
            #expect(throws: MalformedMessage.self) { try TransactionResponse(all.prefix(count)) }
        }
        let long = [0x10] + [UInt8](repeating: 0xFF, count: 10) + [0x01]
        #expect(throws: MalformedMessage.self) { try TransactionResponse(long[...]) }
        #expect(throws: MalformedMessage.self) { try TransactionResponse([0x13]) }
    }

    @Test("messages come out of a stream whole, however it is cut")
    func stream() throws {
        let sent: [[UInt8]] = [[1, 2, 3], [], [UInt8](repeating: 7, count: 70_000)]
        var stream = MessageStream()
        var received: [[UInt8]] = []
        for byte in sent.flatMap(MessageStream.frame) {
            stream.append(CollectionOfOne(byte))
            while let message = try stream.next() { received.append([UInt8](message)) }
        }
        #expect(received == sent)
        #expect(!stream.isWithinMessage)
        stream.append([0, 0xFF, 0xFF, 0xFF, 0xFF])
        #expect(throws: MalformedMessage.self) { try stream.next() }
        var compressed = MessageStream()
        compressed.append([1, 0, 0, 0, 0])
        #expect(throws: MalformedMessage.self) { try compressed.next() }
    }
}

/// The bytes of a dump in hexadecimal.
func bytes(_ dump: String) -> [UInt8] {
    dump.split { $0 == " " || $0 == "\n" }.compactMap { UInt8($0, radix: 16) }
}
