/// The id of a session. The daemon uses each id once.
///
/// `slot` is small and reused, so tables can be indexed by it; `serial` tells the sessions at one slot apart.
public struct SessionID: Hashable, Sendable, CustomStringConvertible {
    /// Where tables have the session.
    public let slot: UInt32
    /// The number of sessions before it at this daemon.
    public let serial: UInt32

    /// The id of the session at a slot.
    public init(slot: UInt32, serial: UInt32) {
        self.slot = slot
        self.serial = serial
    }

    /// The serial number, which is unique for the first 2^32 sessions.
    public var description: String { String(serial) }
}
