public import LockVocabulary

/// What a host must know to take part in a fleet.
public struct ClaimsConfiguration: Sendable {
    /// The name of this host. No two daemons of a fleet have the same.
    public var host: HostName
    /// A word that tells this daemon from another one with the same host name, and is the same after a restart: 1 to 200
    /// bytes of the alphabet of host names.
    public var instance: String
    /// The beginning of all keys.
    public var keyPrefix: [UInt8]
    /// The beginnings of the names that are shared; the empty one is that of all names. Sorted, without doubles.
    public let namePrefixes: [String]
    /// The time to live of the lease: whole seconds from 2 to 3600.
    public var leaseSeconds: Int64 = 10
    /// How long a claim stays at least, so that its hand-over pays.
    public var minimumTurn: Duration = .milliseconds(5)
    /// How long other hosts wait at most for requests that came before theirs.
    public var maximumTurn: Duration = .seconds(1)
    /// How many claims may be kept while no session uses them.
    public var idleClaims = 100_000
    /// How many registers of names that this host does not use are remembered.
    public var rememberedRegisters = 1_000_000
    /// So many bits number the tokens of one epoch. Tests have fewer, so that the tokens of an epoch are used up.
    public var tokenBits = 16
    /// The highest `FleetState.highestEpoch` that this host has kept, so that a restored backup of the store is found out.
    public var highestEpoch: Revision = 0

    public init(
        host: HostName, instance: String, keyPrefix: [UInt8] = Array("prwlock/".utf8),
        namePrefixes: [String] = [""]
    ) {
        self.host = host
        self.instance = instance
        self.keyPrefix = keyPrefix
        self.namePrefixes = Set(namePrefixes).sorted()
    }

    /// Whether a name goes through the store.
    public func isShared(_ name: LockName) -> Bool {
        namePrefixes.contains { $0.isEmpty || name.text.hasPrefix($0) }
    }

    /// The time by which clocks may run apart during a lease: a tenth of it, and at least a quarter of a second.
    func margin(of lease: Duration) -> Duration { max(lease / 10, .milliseconds(250)) }
}
