/// The process at the other end of a connection, as the kernel tells of it.
public struct Peer: Sendable, Equatable {
    /// The process that connected; nil for one that cannot be seen from here.
    public var processID: Int32?
    public var userID: UInt32
    public var groupID: UInt32

    public init(processID: Int32?, userID: UInt32, groupID: UInt32) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
    }
}
