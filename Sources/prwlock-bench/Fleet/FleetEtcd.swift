import CBench
import Glibc

/// Three members of etcd on free ports of loopback. They end with this object.
final class FleetEtcd {
    private let ports: [Int32]
    private let workplace: Workplace
    private var processes: [pid_t] = []

    /// The port of the member that all clients here talk to.
    var port: Int32 { ports[0] }

    init(in workplace: Workplace) throws {
        guard let program = installedProgram("etcd") else { throw Failure("etcd is not installed") }
        self.workplace = workplace
        ports = try (0..<6).map { _ in
            let port = bench_free_port()
            if port < 0 { throw Failure("port on loopback", errno: -port) }
            return port
        }
        let members = (0..<3).map { (name: "m\($0)", port: ports[$0], peerPort: ports[$0 + 3]) }
        let cluster = members.map { "\($0.name)=http://127.0.0.1:\($0.peerPort)" }.joined(separator: ",")
        for member in members {
            let (url, peerURL) = ("http://127.0.0.1:\(member.port)", "http://127.0.0.1:\(member.peerPort)")
            try start(
                [
                    program, "--name", member.name, "--data-dir", workplace.file(member.name),
                    "--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls",
                    peerURL,
                    "--initial-advertise-peer-urls", peerURL, "--initial-cluster", cluster,
                ])
        }
        try awaitTransaction()
    }

    deinit {
        for process in processes { bench_end(process, Duration.seconds(5).nanoseconds) }
    }

    private func start(_ command: [String]) throws {
        let process = spawn(command, log: workplace.file("etcd.log"))
        if process < 0 { throw Failure("start \(command[0])", errno: -process) }
        processes.append(process)
    }

    private func awaitTransaction() throws {
        let deadline = Duration.now() + .seconds(30)
        while true {
            do {
                try BareTransactions(port: port, prefix: "ready").put()
                return
            } catch {
                if Duration.now() > deadline { throw Failure("etcd does not answer: \(error)") }
                usleep(50_000)
            }
        }
    }
}

/// A connection to etcd that makes one transaction after another.
final class BareTransactions {
    private var etcd: OpaquePointer?
    private let prefix: String
    private var number = 0

    init(port: Int32, prefix: String) throws {
        self.prefix = prefix
        try check(bench_etcd_connect(port, &etcd), "etcd")
    }

    deinit { bench_etcd_free(etcd) }

    /// Puts a key that is absent, with a value as long as a claim of one host.
    func put() throws {
        number += 1
        try check(
            bench_etcd_put_if_absent(
                etcd, "\(prefix)/\(number)", "prwlock-claim 1\nholds write bench-a 1234\n"), "etcd")
    }
}

/// Starts a program that ends with this one; returns a negated errno on failure.
func spawn(_ command: [String], log: String) -> pid_t {
    withCStrings(command) { arguments in
        withCStrings(["PATH=/usr/bin:/bin", "ETCDCTL_API=3"]) {
            bench_spawn(arguments[0], arguments, $0, log)
        }
    }
}
