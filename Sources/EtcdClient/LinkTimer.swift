#if Etcd
    import CLinux
    import Dispatch
    import Glibc
    import LockVocabulary
    import Posix

    /// Calls a handler on the main queue when the next deadline has come, on the clock that also counts the time asleep
    /// (`CLOCK_BOOTTIME`), which Dispatch's own timers do not know.
    @MainActor final class LinkTimer {
        private let descriptor: OwnedDescriptor
        private let source: any DispatchSourceRead
        /// When it fires; nil if it does not.
        private var setTo: Instant?

        init(_ handler: @escaping @MainActor () -> Void) throws(SystemError) {
            let number = timerfd_create(CLOCK_BOOTTIME, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
            guard number >= 0 else { throw .last("timerfd_create") }
            descriptor = OwnedDescriptor(owning: number)
            source = DispatchSource.makeReadSource(fileDescriptor: number, queue: .main)
            source.setEventHandler { handler() }
            source.activate()
        }

        /// Makes sure that it fires at the deadline at the latest. Firing early costs one call for nothing.
        func cover(_ deadline: Instant?) {
            guard let deadline, setTo.map({ deadline < $0 }) ?? true else { return }
            setTo = deadline
            let nanoseconds = max(1, deadline.nanoseconds)
            var time = itimerspec()
            time.it_value.tv_sec = Int(nanoseconds / 1_000_000_000)
            time.it_value.tv_nsec = Int(nanoseconds % 1_000_000_000)
            timerfd_settime(descriptor.rawValue, Int32(TFD_TIMER_ABSTIME), &time, nil)
        }

        /// Takes note that it has fired.
        func acknowledge() {
            var count: UInt64 = 0
            guard read(descriptor.rawValue, &count, MemoryLayout<UInt64>.size) == MemoryLayout<UInt64>.size
            else { return }
            setTo = nil
        }

        /// Ends it. The descriptor stays open until the source has ended.
        func close() {
            source.setCancelHandler { _ = self }
            source.cancel()
        }
    }
#endif
