import CLinux
import LockVocabulary
import Posix

/// The epoll set: the sockets of all sessions, the process watches, and the handles of the main queue and of
/// the link to a cluster.
///
/// All members are level-triggered: `epoll_wait` reports a condition until it is over. So the loop may poll the set twice
/// before it acts, and may ignore events of the second poll.
struct EventSet: ~Copyable {
    private let descriptor: OwnedDescriptor
    private var events: [epoll_event]
    private var found = 0

    init() throws(SystemError) {
        let number = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard number >= 0 else { throw .last("epoll_create1") }
        descriptor = OwnedDescriptor(owning: number)
        events = Array(repeating: epoll_event(), count: 256)
    }

    /// Waits for events, for so many milliseconds at the most; -1 for no end. Returns the number of events.
    ///
    /// It always gets the events of all members: if they fill the array, it enlarges the array and polls again. Otherwise a
    /// death could be missing.
    mutating func wait(_ milliseconds: Int32) -> Int {
        var milliseconds = milliseconds
        while true {
            let count = linux_epoll_wait(descriptor.rawValue, &events, Int32(events.count), milliseconds)
            // An error means an interruption by a debugger or a stop; the caller waits again.
            found = max(0, Int(count))
            if found < events.count { return found }
            events += Array(repeating: epoll_event(), count: events.count)
            milliseconds = 0
        }
    }

    /// The events of the last `wait`, in the order in which the members became ready.
    subscript(index: Int) -> Event {
        precondition(index < found, "no such event")
        return Event(source: Source(encoded: events[index].data.u64), conditions: events[index].events)
    }

    func add(_ member: Int32, _ source: Source, _ conditions: Conditions) throws(SystemError) {
        try control(EPOLL_CTL_ADD, member, source, conditions)
    }

    /// Changes the conditions of a member.
    func change(_ member: Int32, _ source: Source, _ conditions: Conditions) {
        do { try control(EPOLL_CTL_MOD, member, source, conditions) } catch {
            preconditionFailure("\(source) is not a member: \(error)")
        }
    }

    /// Removes a member. A closed descriptor leaves by itself only if no copy of it is left, also none in flight.
    func remove(_ member: Int32) {
        var unused = epoll_event()
        epoll_ctl(descriptor.rawValue, EPOLL_CTL_DEL, member, &unused)
    }

    private func control(
        _ operation: Int32, _ member: Int32, _ source: Source, _ conditions: Conditions
    ) throws(SystemError) {
        var event = epoll_event(events: conditions.rawValue, data: epoll_data_t(u64: source.encoded))
        guard epoll_ctl(descriptor.rawValue, operation, member, &event) == 0 else { throw .last("epoll_ctl") }
    }
}

/// One event of an `EventSet`.
struct Event {
    let source: Source
    let conditions: Conditions

    /// Whether the peer has closed its end. One of the two conditions is enough.
    var hasHungUp: Bool { !conditions.isDisjoint(with: .closed) }

    init(source: Source, conditions: UInt32) {
        self.source = source
        self.conditions = Conditions(rawValue: conditions)
    }
}

/// The conditions of a descriptor that the set waits for or reports.
struct Conditions: OptionSet {
    let rawValue: UInt32

    static let readable = Conditions(rawValue: EPOLLIN.rawValue)
    static let writable = Conditions(rawValue: EPOLLOUT.rawValue)
    /// The peer sends nothing more.
    static let halfClosed = Conditions(rawValue: EPOLLRDHUP.rawValue)
    /// The peer has closed its end. The kernel reports it unasked.
    static let closed = Conditions(rawValue: EPOLLHUP.rawValue | EPOLLERR.rawValue)
}

/// The origin of an event.
enum Source: Equatable {
    case session(SessionID)
    /// A process watch, by the number of its descriptor.
    case process(Int32)
    /// The main queue has work.
    case mainQueue
    /// The link to the cluster has work.
    case link

    /// The source in the 64 bits that epoll keeps for a member: a kind, 24 bits for a slot, 32 bits for a number.
    var encoded: UInt64 {
        switch self {
        case .session(let id):
            precondition(id.slot < 1 << 24, "more sessions than descriptors can be")
            return UInt64(id.slot) << 32 | UInt64(id.serial)
        case .process(let descriptor): return 1 << 56 | UInt64(UInt32(bitPattern: descriptor))
        case .mainQueue: return 2 << 56
        case .link: return 3 << 56
        }
    }

    init(encoded: UInt64) {
        switch encoded >> 56 {
        case 0:
            self = .session(
                SessionID(slot: UInt32(encoded >> 32), serial: UInt32(truncatingIfNeeded: encoded)))
        case 1: self = .process(Int32(bitPattern: UInt32(truncatingIfNeeded: encoded)))
        case 2: self = .mainQueue
        case 3: self = .link
        default: preconditionFailure("the event set has no such member")
        }
    }
}
