import Synchronization

/// Keeps a large value that has one owner where it is.
///
/// The compiler hands a value to a method that only looks at it as a copy of all its fields, a thousand bytes of them
/// here, unless something in it has to stay in its place. An anchor has to, costs a byte, and does nothing.
public struct Anchor: ~Copyable {
    private let cell = Atomic<Bool>(false)

    public init() {}
}
