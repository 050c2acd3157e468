#if Etcd
    import Glibc
    import LockVocabulary
    import Posix

    /// A TCP socket that never waits, and is in the link's events.
    @MainActor final class LinkSocket {
        enum Received {
            case bytes([UInt8])
            case nothing
            /// The reason why nothing more will come.
            case end(String)
        }

        /// What one read takes.
        static let chunk = 65_536
        /// For how long the kernel sends bytes again that the peer does not confirm.
        private static let confirmation: Int32 = 10_000

        /// Nil after the end.
        private var descriptor: OwnedDescriptor?
        private let events: LinkEvents
        /// A connection that is made is one that has room.
        private var waitsForRoom = true
        private var backlog: [UInt8] = []
        private(set) var isConnected = false

        private var number: Int32 { descriptor.inspect { $0.rawValue } ?? -1 }

        /// Begins to connect.
        init(connectingTo address: NetworkAddress, events: LinkEvents) throws(SystemError) {
            let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            let number = socket(address.family, type, 0)
            guard number >= 0 else { throw .last("socket") }
            let descriptor = OwnedDescriptor(owning: number)
            Self.set(number, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            Self.set(number, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Self.confirmation)
            let result = address.bytes.withUnsafeBytes { bytes in
                bytes.withMemoryRebound(to: sockaddr.self) {
                    connect(number, $0.baseAddress, socklen_t(bytes.count))
                }
            }
            guard result == 0 || errno == EINPROGRESS || errno == EINTR else { throw .last("connect") }
            try events.add(number, .socket, writes: true)
            self.descriptor = consume descriptor
            self.events = events
        }

        /// Whether the connection stands now; throws the reason if it failed.
        func checkConnected() throws(SystemError) -> Bool {
            guard !isConnected else { return true }
            var code: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            guard getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else {
                throw .last("getsockopt")
            }
            guard code == 0 else { throw SystemError(code: code, call: "connect") }
            // No error also means that it is not decided yet.
            var address = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let result = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(number, $0, &size) }
            }
            isConnected = result == 0
            return isConnected
        }

        func receive() -> Received {
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, filled in
                count = recv(number, buffer.baseAddress, Self.chunk, 0)
                filled = max(0, count)
            }
            if count > 0 { return .bytes(bytes) }
            if count == 0 { return .end("closed the connection") }
            if errno == EAGAIN || errno == EINTR { return .nothing }
            return .end("lost the connection: \(String(cString: strerror(errno)))")
        }

        /// Sends the bytes, now or when there is room. A failure shows at the next `receive`.
        func send(_ bytes: [UInt8]) {
            if backlog.isEmpty { backlog = bytes } else { backlog += bytes }
            var sent = 0
            while sent < backlog.count {
                let count = backlog[sent...].withUnsafeBytes {
                    Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                sent += count
            }
            backlog.removeFirst(sent)
            waitForRoom(!backlog.isEmpty)
        }

        func close() { descriptor = nil }

        private func waitForRoom(_ waits: Bool) {
            guard waits != waitsForRoom, descriptor != nil else { return }
            waitsForRoom = waits
            events.change(number, .socket, writes: waits)
        }

        private static func set(_ number: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
            var value = value
            // Each is an improvement, and none is needed.
            setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }
#endif
