/// Whether an optional has a value, for noncopyable values that `#expect` cannot compare.
func isThere<Value: ~Copyable>(_ value: borrowing Value?) -> Bool {
    switch value {
    case .some: true
    case .none: false
    }
}
