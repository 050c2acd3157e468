import Glibc

/// A value that only one thread at a time can use.
///
/// It uses a pthread mutex, not `Synchronization.Mutex`: on Linux ThreadSanitizer knows only the former, and reports
/// every use of the latter as a race.
///
/// `@unchecked Sendable` is safe because `withLock` is the only way to the value.
public final class Guarded<Value>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    public init(_ value: Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deinitialize(count: 1)
        mutex.deallocate()
    }

    /// Runs the body with exclusive access to the value. The body must not call `withLock` of the same object.
    public func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
