import TestSupport
import Testing

/// What a daemon says of options for a fleet that it cannot use.
@Suite struct ClusterOptionTests {
    @Test(
        "a fault in an option of the fleet is named, and nothing starts",
        arguments: [
            (["--cluster-host", "web 1"], "is not the name of a host"),
            (["--cluster-host", String(repeating: "w", count: 65)], "is not the name of a host"),
            (["--cluster-prefix", "a,,b"], "has an empty prefix"),
            (["--cluster-prefix", "fleet jobs"], "is not the beginning of a lock's name"),
            (["--cluster-lease", "0"], "is not a lease of whole seconds from 2s"),
            (["--cluster-lease", "1s"], "is not a lease of whole seconds from 2s"),
            (["--cluster-lease", "2500ms"], "is not a lease of whole seconds from 2s"),
            (["--cluster-lease", "8760h"], "is not a lease of whole seconds from 2s"),
            (["--cluster-turn", "5ms"], "is not two durations such as 5ms,1s"),
            (["--cluster-turn", "2s,1s"], "is not a shorter and a longer duration"),
            (["--cluster-ca", "ca.pem"], "is not an absolute path"),
        ])
    func faults(options: [String], fault: String) throws {
        let daemon = try DaemonProcess(arguments: options, waits: false)
        #expect(try daemon.exitStatus() == 64)
        #expect(daemon.log.contains(fault), "\(daemon.log)")
    }

    @Test("a build without etcd refuses a cluster, and a build with it a malformed URL")
    func url() throws {
        let daemon = try DaemonProcess("--cluster", "web1:2379", waits: false)
        #expect(try daemon.exitStatus() == 64)
        let isWithout = daemon.log.contains("build it with `swift build --traits default,Etcd`")
        #expect(isWithout || daemon.log.contains("it has to begin with etcd://"), "\(daemon.log)")
    }
}
