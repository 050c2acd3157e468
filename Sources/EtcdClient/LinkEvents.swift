#if Etcd
    import CLinux
    import Glibc
    import Posix

    /// What a link waits for: an epoll set with its timer and its socket.
    ///
    /// The set is readable itself while one of them has something, so the link's owner waits for one descriptor, in a set of
    /// its own. A source of libdispatch for the socket would cost two switches to its thread and back for each packet.
    @MainActor final class LinkEvents {
        enum Member: UInt64 {
            case timer
            case socket
        }

        private let descriptor: OwnedDescriptor

        init() throws(SystemError) {
            let number = epoll_create1(Int32(EPOLL_CLOEXEC))
            guard number >= 0 else { throw .last("epoll_create1") }
            descriptor = OwnedDescriptor(owning: number)
        }

        var handle: Int32 { descriptor.rawValue }

        /// Those that have something now.
        func take() -> Set<Member> {
            var events = [epoll_event(), epoll_event()]
            let count = linux_epoll_wait(handle, &events, Int32(events.count), 0)
            return Set(events.prefix(max(0, Int(count))).compactMap { Member(rawValue: $0.data.u64) })
        }

        /// Adds a descriptor. It leaves the set when it is closed, as it has no copies.
        func add(_ number: Int32, _ member: Member, writes: Bool = false) throws(SystemError) {
            try control(EPOLL_CTL_ADD, number, member, writes)
        }

        /// Changes whether it also waits until there is room to write.
        func change(_ number: Int32, _ member: Member, writes: Bool) {
            do throws(SystemError) { try control(EPOLL_CTL_MOD, number, member, writes) } catch {
                preconditionFailure("\(member) is not in the set: \(error)")
            }
        }

        private func control(_ operation: Int32, _ number: Int32, _ member: Member, _ writes: Bool)
            throws(SystemError)
        {
            let conditions = EPOLLIN.rawValue | (writes ? EPOLLOUT.rawValue : 0)
            var event = epoll_event(events: conditions, data: epoll_data_t(u64: member.rawValue))
            guard epoll_ctl(handle, operation, number, &event) == 0 else { throw .last("epoll_ctl") }
        }
    }
#endif
