import CMainQueue
import Dispatch
import Glibc
import LockVocabulary

/// The main queue of Dispatch, which the daemon's loop drains on the process's main thread, as a run loop does.
///
/// All state of the daemon belongs to the main thread (`MainActor`). The compiler rejects other code that uses it, and a
/// handler that libdispatch calls on another thread ends the process at once. Sources, timers and the answers of other queues
/// reach the state as work of the main queue. `handle` is a member of the reactor's epoll set, so one `epoll_wait` waits for
/// sessions and for this work.
@MainActor enum MainQueue {
    /// The number of a descriptor that is readable while the queue has work.
    static let handle = _dispatch_get_main_queue_handle_4CF()

    /// Carries out what stands in the queue now. What is added meanwhile makes the handle readable again.
    static func drain() {
        // Read the handle first: work that is added after this read makes it readable again. A read after the drain could hide
        // such work, and without a read the loop would never sleep.
        var count: UInt64 = 0
        read(handle, &count, MemoryLayout<UInt64>.size)
        _dispatch_main_queue_callback_4CF(nil)
    }

    /// Calls the body in the next drain.
    static func add(_ body: @escaping @MainActor @Sendable () -> Void) {
        DispatchQueue.main.async { body() }
    }

    /// Calls the body once, after a pause.
    static func after(_ pause: Duration, _ body: @escaping @MainActor @Sendable () -> Void) {
        DispatchQueue.main.asyncAfter(deadline: .now() + pause.interval) { body() }
    }
}

extension Duration {
    fileprivate var interval: DispatchTimeInterval { .nanoseconds(Int(wholeNanoseconds)) }
}

extension DispatchSourceTimer {
    func schedule(in pause: Duration, every period: Duration) {
        schedule(deadline: .now() + pause.interval, repeating: period.interval)
    }
}

/// A source that calls a handler on the main queue while a descriptor is readable.
///
/// Only for descriptors that live about as long as the daemon. Until a source has called its cancel handler, libdispatch on
/// Linux takes another descriptor with the same number for the source's own. So a descriptor must stay open until then,
/// and a session's would have to wait for two thread switches.
@MainActor final class ReadSource {
    private let source: any DispatchSourceRead
    private var isSuspended = false

    init(_ descriptor: Int32, _ handler: @escaping @MainActor () -> Void) {
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .main)
        source.setEventHandler { handler() }
        source.activate()
    }

    /// Calls the handler no more before `resume`.
    func suspend() {
        guard !isSuspended else { return }
        isSuspended = true
        source.suspend()
    }

    func resume() {
        guard isSuspended else { return }
        isSuspended = false
        source.resume()
    }

    /// Calls the handler no more, and `close` once the descriptor may be closed.
    func cancel(_ close: @escaping @MainActor () -> Void) {
        source.setCancelHandler { close() }
        source.cancel()
        // A suspended source does not call its cancel handler.
        resume()
    }
}
