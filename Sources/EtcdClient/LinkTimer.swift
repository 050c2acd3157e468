#if Etcd
    import CLinux
    import Glibc
    import LockVocabulary
    import Posix

    /// Has an event when the next deadline has come, on the clock that also counts the time asleep (`CLOCK_BOOTTIME`).
    @MainActor final class LinkTimer {
        private let descriptor: OwnedDescriptor
        /// When it fires; nil if it does not.
        private var setTo: Instant?

        init(_ events: LinkEvents) throws(SystemError) {
            let number = timerfd_create(CLOCK_BOOTTIME, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
            guard number >= 0 else { throw .last("timerfd_create") }
            descriptor = OwnedDescriptor(owning: number)
            try events.add(number, .timer)
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
    }
#endif
