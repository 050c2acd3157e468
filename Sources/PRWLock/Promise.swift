import Posix

/// A value that will be there once; whoever wants it waits, or is called.
final class Promise<Value: Sendable>: Sendable {
    private enum State {
        case open([@Sendable (Value) -> Void])
        case fulfilled(Value)
    }

    private let state = Guarded(State.open([]))

    /// Gives the value to all who wait; only the first one counts.
    func fulfil(_ value: Value) {
        let waiting: [@Sendable (Value) -> Void] = state.withLock { state in
            guard case .open(let waiting) = state else { return [] }
            state = .fulfilled(value)
            return waiting
        }
        for tell in waiting { tell(value) }
    }

    /// Calls with the value: at once if it is there, else when it comes, on the thread that brings it.
    func whenFulfilled(_ tell: @escaping @Sendable (Value) -> Void) {
        let value: Value? = state.withLock { state in
            switch state {
            case .fulfilled(let value): return value
            case .open(let waiting):
                state = .open(waiting + [tell])
                return nil
            }
        }
        if let value { tell(value) }
    }

    /// The value if it is there.
    var valueNow: Value? {
        state.withLock { if case .fulfilled(let value) = $0 { value } else { nil } }
    }

    /// The value, as soon as it is there; also for a task that was cancelled.
    var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                whenFulfilled { continuation.resume(returning: $0) }
            }
        }
    }
}
