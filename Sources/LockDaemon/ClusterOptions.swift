import LockClaims
import LockVocabulary

/// How the daemon takes part in a fleet.
struct ClusterSettings: Sendable, Equatable {
    /// Where the cluster is; nil for a daemon that shares no names.
    var url: String?
    /// The name of this host in the fleet; nil for the system's.
    var host: String?
    /// The beginnings of the names that are shared; the empty one is that of all names.
    var prefixes = [""]
    var lease = Duration.seconds(10)
    var minimumTurn = Duration.milliseconds(5)
    var maximumTurn = Duration.seconds(1)
    /// Files of certificates and of a key (PEM).
    var authorities: String?
    var certificate: String?
    var key: String?
    var user: String?
    var passwordFile: String?
}

extension Option {
    static let cluster: [Option] = [
        Option(
            name: "cluster", value: "URL",
            help:
                "share locks with the daemons of other hosts through this cluster of etcd: etcd://HOST:PORT,…[/PREFIX], or etcds:// "
                + "for TLS (prwlockd(8), A FLEET)",
            set: { $0.cluster.url = try clusterURL($1) }, show: { $0.cluster.url ?? "" }),
        Option(
            name: "cluster-host", value: "NAME",
            help: "the name of this host, which no other daemon of the fleet has (default: the host's name)",
            set: { $0.cluster.host = try hostName($1).text }, show: { $0.cluster.host ?? "" }),
        Option(
            name: "cluster-prefix", value: "PREFIX,...",
            help:
                "share only names that begin with one of these, the same at all daemons of the fleet (default: all names)",
            set: { $0.cluster.prefixes = try prefixes($1) },
            show: { $0.cluster.prefixes.filter { !$0.isEmpty }.joined(separator: ",") }),
        Option(
            name: "cluster-lease", value: "DURATION",
            help: "how long other hosts wait for this one after its death: whole seconds, from 2s to 1h",
            set: { $0.cluster.lease = try lease($1) }, show: { spelling($0.cluster.lease) }),
        Option(
            name: "cluster-turn", value: "MIN,MAX",
            help:
                "how long this host keeps a name that other hosts want: at least MIN, so that it pays, and for requests that came "
                + "later than theirs at most MAX",
            set: { ($0.cluster.minimumTurn, $0.cluster.maximumTurn) = try turn($1) },
            show: { "\(spelling($0.cluster.minimumTurn)),\(spelling($0.cluster.maximumTurn))" }),
        Option(
            name: "cluster-ca", value: "FILE",
            help: "certificates that vouch for the cluster's, PEM (default: those that the system trusts)",
            set: { $0.cluster.authorities = try path($1) }, show: { $0.cluster.authorities ?? "" }),
        Option(
            name: "cluster-cert", value: "FILE", help: "the certificate of this daemon, PEM",
            set: { $0.cluster.certificate = try path($1) }, show: { $0.cluster.certificate ?? "" }),
        Option(
            name: "cluster-key", value: "FILE", help: "the key of that certificate, PEM",
            set: { $0.cluster.key = try path($1) }, show: { $0.cluster.key ?? "" }),
        Option(
            name: "cluster-user", value: "NAME", help: "the user of etcd that this daemon is",
            set: { $0.cluster.user = try word($1) }, show: { $0.cluster.user ?? "" }),
        Option(
            name: "cluster-password-file", value: "FILE",
            help: "the file with that user's password in its first line, which no other user may read",
            set: { $0.cluster.passwordFile = try path($1) }, show: { $0.cluster.passwordFile ?? "" }),
    ]

    private static func clusterURL(_ text: String) throws(ConfigurationFault) -> String {
        if let fault = Cluster.fault(inURL: text) { throw ConfigurationFault(description: fault) }
        return text
    }

    static func hostName(_ text: String) throws(ConfigurationFault) -> HostName {
        guard let name = HostName(text) else {
            throw ConfigurationFault(
                description:
                    "`\(text)` is not the name of a host: 1 to 64 letters, digits, dashes, underscores or points, "
                    + "the first a letter or digit"
            )
        }
        return name
    }

    private static func prefixes(_ text: String) throws(ConfigurationFault) -> [String] {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        for part in parts where LockName(part) == nil {
            throw ConfigurationFault(
                description: part.isEmpty
                    ? "`\(text)` has an empty prefix, which is that of all names: leave the option out for that"
                    : "`\(part)` is not the beginning of a lock's name")
        }
        return Set(parts).sorted()
    }

    private static func lease(_ text: String) throws(ConfigurationFault) -> Duration {
        let lease = try duration(text)
        guard lease >= .seconds(2), lease <= .seconds(3_600), lease.wholeMilliseconds % 1_000 == 0 else {
            throw ConfigurationFault(
                description: "`\(text)` is not a lease of whole seconds from 2s, etcd's shortest, to 1h")
        }
        return lease
    }

    private static func turn(_ text: String) throws(ConfigurationFault) -> (Duration, Duration) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let first = parts.first, let last = parts.last else {
            throw ConfigurationFault(description: "`\(text)` is not two durations such as 5ms,1s")
        }
        let (least, most) = (try duration(first), try duration(last))
        guard least <= most, most <= .seconds(3_600) else {
            throw ConfigurationFault(
                description: "`\(text)` is not a shorter and a longer duration of at most an hour")
        }
        return (least, most)
    }
}
