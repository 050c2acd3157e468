#if Etcd
    import LockClaims
    import LockVocabulary
    import Seeded
    import Testing

    @testable import EtcdClient

    /// A connection without I/O, and bytes that no etcd would send.
    @Suite("A hostile server costs a connection, and never more")
    struct HostileServerTests {
        private static let options = EtcdConnection.Options(authority: "one:2379", proofKey: [0x70])

        /// HTTP/2's frame: length, type, flags, stream.
        private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ body: [UInt8]) -> [UInt8]
        {
            let length = [16, 8, 0].map { UInt8(truncatingIfNeeded: body.count >> $0) }
            return length + [type, flags] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: stream >> $0) }
                + body
        }

        /// A literal header field without Huffman's code and without the table.
        private static func field(_ name: String, _ value: String) -> [UInt8] {
            [0, UInt8(name.utf8.count)] + name.utf8 + [UInt8(value.utf8.count)] + value.utf8
        }

        /// The answer to the question for the version: 0x88 is `:status: 200`.
        private static func greeting(version: String, leader: UInt8 = 1) -> [UInt8] {
            var message = ProtobufWriter()
            message.add(2, version)
            message.add(4, Int64(leader))
            return frame(4, 0, 0, [])
                + frame(1, 4, 1, [0x88] + field("content-type", "application/grpc"))
                + frame(0, 0, 1, MessageStream.frame(message.bytes))
                + frame(1, 5, 1, field("grpc-status", "0"))
        }

        private static func greeted(_ greeting: [UInt8]) throws -> (EtcdConnection, [EtcdConnection.Event]) {
            let connection = try EtcdConnection(options, tls: nil, host: "one", at: .zero)
            _ = connection.takeOutput()
            connection.receive(greeting, at: .zero)
            _ = connection.takeOutput()
            return (connection, connection.takeEvents())
        }

        private static func reason(_ events: [EtcdConnection.Event]) -> String? {
            events.lazy.compactMap { if case .failed(let failure) = $0 { failure.reason } else { nil } }.first
        }

        @Test("an etcd that is too old, or that has no leader, is refused with the reason")
        func versions() throws {
            let (connection, _) = try Self.greeted(Self.greeting(version: "3.4.0"))
            #expect(connection.phase == .ready)
            let old = Self.reason(try Self.greeted(Self.greeting(version: "3.3.27")).1)
            #expect(old == "one:2379 is etcd 3.3.27, and 3.4 or later is needed")
            #expect(Self.reason(try Self.greeted(Self.greeting(version: "x")).1)?.contains("etcd x") == true)
            let leaderless = Self.reason(try Self.greeted(Self.greeting(version: "3.5.1", leader: 0)).1)
            #expect(leaderless?.contains("knows no leader") == true)
        }

        @Test("a server that is no etcd is named as such")
        func others() throws {
            let web = Self.reason(try Self.greeted(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)).1)
            #expect(web?.contains("no etcd") == true)
            // 0x8d is `:status: 404`.
            let missing = Self.frame(4, 0, 0, []) + Self.frame(1, 5, 1, [0x8D])
            #expect(Self.reason(try Self.greeted(missing).1)?.contains("HTTP status 404") == true)
        }

        @Test("what a server has refused to begin is to be sent again; what it may have begun is not")
        func refusedStream() throws {
            let (connection, _) = try Self.greeted(Self.greeting(version: "3.4.0"))
            let id = StoreRequestID(rawValue: 7)
            connection.send(id, .grantLease(seconds: 5), at: .zero)
            _ = connection.takeOutput()
            connection.receive(Self.frame(3, 0, 3, [0, 0, 0, 7]), at: .zero)
            guard case .unsent(id, .grantLease(seconds: 5))? = connection.takeEvents().first else {
                Issue.record("a refused stream was not carried out")
                return
            }
            connection.send(id, .grantLease(seconds: 5), at: .zero)
            _ = connection.takeOutput()
            connection.receive(Self.frame(3, 0, 5, [0, 0, 0, 2]), at: .zero)
            guard case .answer(id, .unknown, _)? = connection.takeEvents().first else {
                Issue.record("a stream that ended by a fault is unknown")
                return
            }
        }

        @Test("a silent server is asked by a PING, and then given up")
        func silence() throws {
            let (connection, _) = try Self.greeted(Self.greeting(version: "3.4.0"))
            connection.begin(EtcdConnection.Watch(prefix: [0x74], next: 1))
            _ = connection.takeOutput()
            for _ in 0..<2 {
                let deadline = try #require(connection.nextDeadline)
                connection.advance(to: deadline)
            }
            #expect(Self.reason(connection.takeEvents())?.contains("silent") == true)
            let slow = try EtcdConnection(Self.options, tls: nil, host: "one", at: .zero)
            slow.advance(to: Instant.zero.advanced(by: EtcdConnection.setUp))
            #expect(Self.reason(slow.takeEvents())?.contains("did not answer") == true)
        }

        @Test(
            "no frames crash the connection, and no request is answered twice",
            arguments: SeededGenerator.seeds)
        func frames(seed: UInt64) throws {
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<300 {
                let (connection, _) = try Self.greeted(Self.greeting(version: "3.4.0"))
                var answered: [StoreRequestID: Int] = [:]
                for number in 0..<UInt64(12) {
                    if connection.phase == .ready {
                        connection.send(StoreRequestID(rawValue: number), Self.request(&generator), at: .zero)
                    }
                    _ = connection.takeOutput()
                    connection.receive(Self.hostile(&generator), at: .zero)
                    for event in connection.takeEvents() {
                        if case .answer(let id, _, _) = event { answered[id, default: 0] += 1 }
                        if case .unsent(let id, _) = event { answered[id, default: 0] += 1 }
                    }
                }
                #expect(answered.values.allSatisfy { $0 == 1 })
            }
        }

        private static func request(_ generator: inout SeededGenerator) -> StoreRequest {
            generator.pick([
                .grantLease(seconds: 5), .keepAlive(9), .revokeLease(9), .watch(prefix: [0x74], from: 1),
                .transaction(Transaction(then: [.get(key: [0x61])])),
            ])
        }

        /// Frames that are often right, on streams that often exist.
        private static func hostile(_ generator: inout SeededGenerator) -> [UInt8] {
            let stream = UInt32(generator.number(1...12)) * 2 + 1
            let noise = (0..<generator.number(0...40)).map { _ in UInt8(generator.number(0...255)) }
            let head = frame(1, 4, stream, [0x88])
            switch generator.number(0...6) {
            case 0:
                return frame(UInt8(generator.number(0...10)), UInt8(generator.number(0...255)), stream, noise)
            case 1: return head + frame(0, 0, stream, MessageStream.frame(noise))
            case 2: return head + frame(0, 0, stream, noise)
            case 3: return head + frame(1, 5, stream, field("grpc-status", "\(generator.number(0...17))"))
            case 4: return head + frame(0, 0, stream, MessageStream.frame(bytes("0a 02 18 05 10 09 18 05")))
            case 5: return frame(3, 0, stream, [0, 0, 0, UInt8(generator.number(0...13))])
            default: return frame(7, 0, 0, [0, 0, 0, UInt8(generator.number(0...20)), 0, 0, 0, 0] + noise)
            }
        }
    }
#endif
