/// One client as the daemon sees it, for as long as the daemon lives: an id is not used twice.
///
/// `slot` is small and used again, so that tables can be indexed by it; `serial` tells who has it now.
public struct SessionID: Hashable, Sendable, CustomStringConvertible {
    public let slot: UInt32
    public let serial: UInt32

    public init(slot: UInt32, serial: UInt32) {
        self.slot = slot
        self.serial = serial
    }

    /// The serial number: unique until more than four thousand million sessions have come.
    public var description: String { String(serial) }
}
