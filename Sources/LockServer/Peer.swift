/// The process at the other end of a connection, as the kernel tells of it.
public struct Peer: Sendable, Equatable {
    /// The process that connected; nil for one that cannot be seen from here.
    public var processID: Int32?
    public var userID: UInt32
    public var groupID: UInt32
    /// What else a policy may go by; asked for where one does.
    public var identity = Identity()

    /// What is known of a process beside its numbers.
    public struct Identity: Sendable, Hashable {
        /// Its supplementary groups.
        public var groups: [UInt32] = []
        /// The system's unit that it belongs to, such as `nginx.service`; nil if that is not known for certain.
        public var unit: String?
        /// The path of its program; nil if that is not known for certain.
        public var executable: String?

        public init() {}
    }

    public init(processID: Int32?, userID: UInt32, groupID: UInt32) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
    }
}
