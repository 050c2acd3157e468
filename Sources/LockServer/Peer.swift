/// The process at the other end of a connection, as the kernel describes it.
public struct Peer: Sendable, Equatable {
    /// The process that connected; nil if it has no id in the daemon's namespace.
    public var processID: Int32?
    public var userID: UInt32
    public var groupID: UInt32
    /// Further facts, which the shell looks up only if the policy goes by them.
    public var identity = Identity()

    /// Facts about a process beside its numbers.
    public struct Identity: Sendable, Hashable {
        /// Its supplementary groups.
        public var groups: [UInt32] = []
        /// Its unit of the system's service manager, such as `nginx.service`; nil unless that is certain.
        public var unit: String?
        /// The path of its program; nil unless that is certain.
        public var executable: String?

        public init() {}
    }

    public init(processID: Int32?, userID: UInt32, groupID: UInt32) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
    }
}
