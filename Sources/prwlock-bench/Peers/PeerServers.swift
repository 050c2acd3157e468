import CBench
import Glibc

/// The servers that participants need, each of them started once. They end with this object.
final class PeerServers {
    /// The server's socket, folder or port, as a participant finds it; no value if it is not installed.
    private(set) var places: [Peer.Needed: String] = [:]
    /// Why a server that is installed could not be started.
    private(set) var failures: [Peer.Needed: String] = [:]
    private(set) var processes: [pid_t] = []
    private var servers: [Server] = []
    private let workplace: Workplace
    /// The folder of PostgreSQL, which does not run as root. It is removed after the server has ended.
    private var clusterPlace: Workplace?
    private var ownProcesses: [pid_t] = []

    /// Starts the servers of these peers, as far as they are installed.
    init(_ needed: Set<Peer.Needed>, daemon: String, in workplace: Workplace) throws {
        self.workplace = workplace
        for server in Peer.Needed.allCases where needed.contains(server) {
            do {
                places[server] = try start(server, daemon)
            } catch {
                failures[server] = "\(error)"
            }
        }
    }

    deinit {
        for process in ownProcesses { bench_end(process, Duration.seconds(5).nanoseconds) }
    }

    private func start(_ server: Peer.Needed, _ daemon: String) throws -> String? {
        switch server {
        case .daemon: try start(LockDaemon(program: daemon), "prwlockd")
        case .redis: try Redis().map { try start($0, "redis") }
        case .postgreSQL: try startPostgreSQL()
        case .etcd: try startEtcd()
        }
    }

    /// Returns the socket of a server that answers.
    private func start(_ service: any Service, _ label: String) throws -> String {
        let server = try Server(service, in: workplace, named: label)
        servers.append(server)
        processes.append(server.process)
        return server.socket
    }

    /// Returns the port. The participants wait until it answers.
    private func startEtcd() throws -> String? {
        guard let program = installedProgram("etcd") else { return nil }
        let (port, peerPort) = (bench_free_port(), bench_free_port())
        guard port > 0, peerPort > 0 else { throw Failure("port on loopback", errno: -min(port, peerPort)) }
        let (url, peerURL) = ("http://127.0.0.1:\(port)", "http://127.0.0.1:\(peerPort)")
        try spawn(
            [
                program, "--data-dir", workplace.file("etcd"), "--listen-client-urls", url,
                "--advertise-client-urls", url, "--listen-peer-urls", peerURL,
                "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default=\(peerURL)",
            ], log: workplace.file("etcd.log"))
        return "\(port)"
    }

    /// Returns the folder of the socket. The participants wait until it answers.
    private func startPostgreSQL() throws -> String? {
        let folders = versions(below: "/usr/lib/postgresql").map { "/usr/lib/postgresql/\($0)/bin" }
        guard let initdb = installedProgram("initdb", orIn: folders),
            let postgres = installedProgram("postgres", orIn: folders)
        else { return nil }
        guard let setpriv = installedProgram("setpriv") else { throw Failure("PostgreSQL: no setpriv(1)") }
        let user = geteuid() == 0 ? getpwnam("postgres") ?? getpwnam("nobody") : nil
        let place = try Workplace(owner: user?.pointee.pw_uid)
        clusterPlace = place
        let (data, log) = (place.file("data"), workplace.file("postgresql.log"))
        // The kernel forgets at a change of user that a process ends with its parent. QUIT removes shared memory too.
        let privileges =
            user.map {
                ["--reuid", "\($0.pointee.pw_uid)", "--regid", "\($0.pointee.pw_gid)", "--clear-groups"]
            } ?? []
        let asUser = [setpriv] + privileges + ["--pdeathsig", "QUIT"]
        let made = try spawn(
            asUser + [initdb, "-D", data, "-U", "bench", "-A", "trust", "-N", "--no-instructions"], log: log)
        let deadline = Duration.now() + .seconds(60)
        while !bench_has_ended(made) {
            if Duration.now() > deadline { throw Failure("PostgreSQL: initdb takes a minute") }
            usleep(10_000)
        }
        ownProcesses.removeAll { $0 == made }
        processes.removeAll { $0 == made }
        guard hasCluster(place) else {
            throw Failure("PostgreSQL: initdb: \(contents(of: log).split(separator: "\n").last ?? "failed")")
        }
        try spawn(
            asUser + [
                postgres, "-D", data, "-c", "listen_addresses=", "-c",
                "unix_socket_directories=\(place.path)",
                "-c", "dynamic_shared_memory_type=mmap",
            ], log: log)
        return place.path
    }

    private func hasCluster(_ place: Workplace) -> Bool { access(place.file("data/PG_VERSION"), F_OK) == 0 }

    /// Starts a process that ends with this object.
    @discardableResult
    private func spawn(_ command: [String], log: String) throws -> pid_t {
        let environment = ["PATH=/usr/bin:/bin", "HOME=\(workplace.path)", "LC_ALL=C"]
        let process = withCStrings(command) { arguments in
            withCStrings(environment) { bench_spawn(arguments[0], arguments, $0, log) }
        }
        if process < 0 { throw Failure("start \(command[0])", errno: -process) }
        processes.append(process)
        ownProcesses.append(process)
        return process
    }

    /// The names in a folder that are numbers, the highest first.
    private func versions(below folder: String) -> [Int] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var found: [Int] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let version = Int(name) { found.append(version) }
        }
        return found.sorted(by: >)
    }
}
