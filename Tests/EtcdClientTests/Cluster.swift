#if Etcd
    import EtcdClient
    import Glibc
    import LockVocabulary
    import Posix
    import TestSupport

    /// A cluster of real etcd processes on loopback, which end with this object.
    @MainActor final class Cluster {
        struct Failure: Error { let words: String }

        final class Member {
            let number: Int
            let port: Int
            fileprivate(set) var process: Int32 = 0

            init(number: Int, port: Int) { (self.number, self.port) = (number, port) }

            deinit { kill() }

            func signal(_ number: Int32) { if process > 0 { Glibc.kill(process, number) } }

            func kill() {
                guard process > 0 else { return }
                signal(SIGKILL)
                _ = ChildProcess.status(of: process, by: Deadline(after: .seconds(10)))
                process = 0
            }
        }

        /// Whether etcd and its client are installed.
        nonisolated static var isInstalled: Bool { ["etcd", "etcdctl"].allSatisfy { path(of: $0) != nil } }

        private static var nextPort = 24_000

        let directory: TemporaryDirectory
        let members: [Member]
        private let options: [String]
        private let scheme: String
        /// What etcdctl needs in addition.
        var clientOptions: [String] = []

        init(
            members count: Int = 1, options: [String] = [], scheme: String = "http",
            in directory: TemporaryDirectory? = nil
        ) throws {
            self.directory = try directory ?? TemporaryDirectory()
            self.options = options
            self.scheme = scheme
            var members: [Member] = []
            for number in 0..<count { members.append(Member(number: number, port: try Self.freePorts())) }
            self.members = members
            for member in members { try start(member, state: "new") }
        }

        var url: String { url(of: members) }

        func url(of members: [Member]) -> String {
            let hosts = members.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
            return "\(scheme == "http" ? "etcd" : "etcds")://\(hosts)/t"
        }

        func restart(_ member: Member) throws { try start(member, state: "existing") }

        private func start(_ member: Member, state: String) throws {
            let peers = members.map { "n\($0.number)=http://127.0.0.1:\($0.port + 1)" }.joined(separator: ",")
            let client = "\(scheme)://127.0.0.1:\(member.port)"
            let peer = "http://127.0.0.1:\(member.port + 1)"
            member.process = try spawn(
                "etcd",
                [
                    "--name", "n\(member.number)", "--data-dir", directory("n\(member.number)"),
                    "--listen-client-urls", client,
                    "--advertise-client-urls", client, "--listen-peer-urls", peer,
                    "--initial-advertise-peer-urls", peer,
                    "--initial-cluster", peers, "--initial-cluster-state", state, "--pre-vote",
                ] + options, output: directory("n\(member.number).log"))
        }

        /// Runs etcdctl to its end, and returns what it has printed.
        @discardableResult
        func control(_ arguments: String...) throws -> String {
            let endpoints = members.filter { $0.process > 0 }.map { "\(scheme)://127.0.0.1:\($0.port)" }
            let output = directory("etcdctl.out")
            unlink(output)
            let process = try spawn(
                "etcdctl", ["--endpoints", endpoints.joined(separator: ",")] + clientOptions + arguments,
                output: output)
            let status = ChildProcess.status(of: process, by: Deadline(after: .seconds(20)))
            let text = Self.text(output)
            guard status == 0 else { throw Failure(words: "etcdctl \(arguments): \(text)") }
            return text
        }

        /// The member that leads.
        func leader() throws -> Member {
            // Fields: endpoint, id, version, size, is leader.
            let status = try control("endpoint", "status")
            for line in status.split(separator: "\n") {
                let words = line.split(separator: ",").map { $0.filter { $0 != " " } }
                guard words.count > 4, words[4] == "true" else { continue }
                if let leader = members.first(where: { words[0].hasSuffix(":\($0.port)") }) { return leader }
            }
            throw Failure(words: "no leader")
        }

        static func run(_ program: String, _ arguments: [String], output: String) throws {
            let process = try spawn(program, arguments, output: output)
            guard ChildProcess.status(of: process, by: Deadline(after: .seconds(20))) == 0 else {
                throw Failure(words: "\(program) \(arguments): \(text(output))")
            }
        }

        private func spawn(_ program: String, _ arguments: [String], output: String) throws -> Int32 {
            try Self.spawn(program, arguments, output: output)
        }

        static func spawn(_ program: String, _ arguments: [String], output: String) throws -> Int32 {
            guard let path = path(of: program) else { throw Failure(words: "no \(program)") }
            let null = open("/dev/null", O_RDWR | O_CLOEXEC)
            let log = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            defer {
                close(null)
                close(log)
            }
            return try ChildProcess(
                executable: path, arguments: [program] + arguments,
                environment: ["PATH=/usr/bin:/bin", "ETCDCTL_API=3", "HOME=/nonexistent"],
                descriptors: [null, log, log]
            ).spawn()
        }

        private static func text(_ path: String) -> String {
            guard let file = fopen(path, "re") else { return "" }
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = fread(&bytes, 1, bytes.count, file)
            return String(decoding: bytes.prefix(count), as: UTF8.self)
        }

        nonisolated private static func path(of program: String) -> String? {
            let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
            return folders.split(separator: ":").map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
        }

        /// The first of two free ports in a row.
        static func freePorts() throws -> Int {
            while nextPort < 24_480 {
                defer { nextPort += 2 }
                if isFree(nextPort), isFree(nextPort + 1) { return nextPort }
            }
            throw Failure(words: "no free ports")
        }

        private static func isFree(_ port: Int) -> Bool {
            let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            defer { close(number) }
            var yes: Int32 = 1
            setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &yes, 4)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        }
    }
#endif
