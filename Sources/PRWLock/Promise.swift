import Posix

/// A value that comes once. Callers wait for it, or are called with it.
final class Promise<Value: Sendable>: Sendable {
    private typealias Waiting = (number: Int, body: @Sendable (Value) -> Void)

    private enum State {
        case open([Waiting])
        case fulfilled(Value)
    }

    private let state = Guarded((next: 0, state: State.open([])))

    /// Sets the value and calls all bodies. Only the first value counts.
    func fulfil(_ value: Value) {
        let waiting = state.withLock { shared -> [Waiting] in
            guard case .open(let waiting) = shared.state else { return [] }
            shared.state = .fulfilled(value)
            return waiting
        }
        for waiting in waiting { waiting.body(value) }
    }

    /// Calls the body with the value: at once if the value is there, else on the thread that sets it.
    ///
    /// - Returns: the number by which `forget` removes the body.
    @discardableResult
    func whenFulfilled(_ body: @escaping @Sendable (Value) -> Void) -> Int {
        let (number, value): (Int, Value?) = state.withLock { shared in
            shared.next += 1
            switch shared.state {
            case .fulfilled(let value): return (shared.next, value)
            case .open(let waiting):
                shared.state = .open(waiting + [(shared.next, body)])
                return (shared.next, nil)
            }
        }
        if let value { body(value) }
        return number
    }

    /// Removes a body that waits for the value.
    func forget(_ number: Int) {
        state.withLock { shared in
            guard case .open(let waiting) = shared.state else { return }
            shared.state = .open(waiting.filter { $0.number != number })
        }
    }

    /// The value if it is there.
    var valueNow: Value? {
        state.withLock { if case .fulfilled(let value) = $0.state { value } else { nil } }
    }

    /// The value, as soon as it is there. A cancelled task waits for it as well.
    var value: Value {
        get async {
            if let valueNow { return valueNow }
            return await withCheckedContinuation { continuation in
                whenFulfilled { continuation.resume(returning: $0) }
            }
        }
    }
}
