extension Optional where Wrapped: ~Copyable {
    /// The result of the body for the value, which stays with its owner; nil if there is no value.
    package borrowing func inspect<Result>(_ body: (borrowing Wrapped) -> Result) -> Result? {
        switch self {
        case .some(let value): body(value)
        case .none: nil
        }
    }
}
