/// Whether there is a value, for values that `#expect` cannot compare because they cannot be copied.
func isThere<Value: ~Copyable>(_ value: borrowing Value?) -> Bool {
    switch value {
    case .some: true
    case .none: false
    }
}
