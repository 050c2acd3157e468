import Synchronization

/// A field that keeps a large noncopyable value at its address.
///
/// The compiler passes a value to a nonmutating method by copying its fields, a thousand bytes for a table, unless a field
/// must not move. An anchor is such a field. It costs a byte.
public struct Anchor: ~Copyable {
    private let cell = Atomic<Bool>(false)

    /// An anchor for the value that has it as a field.
    public init() {}
}
