/// Whether an optional has a value. `#expect` cannot compare noncopyable values.
func isThere<Value: ~Copyable>(_ value: borrowing Value?) -> Bool {
    switch value {
    case .some: true
    case .none: false
    }
}
