extension Optional where Wrapped: ~Copyable {
    /// What the body says of the value; nil if there is none. For values that have one owner, who keeps them.
    borrowing func inspect<Result>(_ body: (borrowing Wrapped) -> Result) -> Result? {
        switch self {
        case .some(let value): body(value)
        case .none: nil
        }
    }
}
