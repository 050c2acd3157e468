/// The name of a fact: a kind, and a slot within the kind.
public struct FactKey: Hashable, Sendable, BitwiseCopyable {
    /// The slots of each kind are below this bound.
    public static let slotBound: UInt32 = 1 << 24

    public let kind: UInt8
    public let slot: UInt32

    public init(kind: UInt8, slot: UInt32) {
        precondition(slot < Self.slotBound, "the slot is outside the kind")
        self.kind = kind
        self.slot = slot
    }
}

/// A fact as the ledger shows it. Its bytes are valid only within the call that shows it.
public struct Fact {
    /// The most bytes that a fact has.
    public static let longest = 1 << 20

    public let key: FactKey
    public let bytes: UnsafeRawBufferPointer
    /// How many of the bytes were sent; nil for a fact that does not count this.
    public let sent: UInt32?
}
