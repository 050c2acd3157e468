internal import Glibc
public import Posix

/// The sockets of all sessions, in flight in two socketpairs, so that they outlive the process that serves them.
///
/// One pair has the loose sockets, a message for each. The other has the packed ones, up to 253 in a message. A process that
/// has the four ends of the pairs (`descriptors`) has all sockets, however many they are.
///
/// Invariants, which a kill between any two system calls keeps:
///
/// 1. A socket that `put` returned as kept is in a message until `remove`.
/// 2. Packing sends the new message first, and then removes the old ones. A kill in between leaves a socket in two messages,
///    and never in none.
/// 3. Unpacking only peeks. The kernel duplicates the descriptors of a message at each peek, so a kill in the midst changes
///    nothing, and the next process begins again.
/// 4. A socket that comes out twice is recognized by its identity. One message counts as its place; the other copy is dead.
///
/// The memory that a session shares with the daemon may be in the parcel as its socket is.
///
/// The socket of a session that has ended stays in flight until a packing. It costs memory in the kernel, and the peer sees
/// the end only if the caller calls `shutdown` before it closes its own descriptor.
///
/// Descriptors in flight count for the user, over all its processes: beyond the soft limit of descriptors the kernel refuses
/// the next message, except from a process with `CAP_SYS_RESOURCE` or `CAP_SYS_ADMIN`. `put` then refuses the socket, and the
/// sockets in the parcel are safe. The parcel has at most twice as many descriptors in flight as were put and not removed, and 759.
///
/// Cost: O(1) amortized for `put` and `remove`; a packing is O(sessions), and comes after as many calls.
public final class SocketParcel {
    public enum Outcome: Equatable, Sendable {
        case kept
        /// The socket is not in the parcel, and ends with this process.
        case refused(SystemError)
    }

    private let looseQueue: DescriptorQueue
    private let packedQueue: DescriptorQueue
    /// The sockets of the loose messages; some may have ended, and then their numbers may have come again.
    private var loose: [Int32] = []
    private var looseMessages = 0
    /// The packed messages, oldest first.
    private var packed: [Message] = []
    /// The place of the oldest packed message. Each later message has the next number.
    private var firstPacked = 1
    /// The place of each socket, by its descriptor's number: `nowhere`, `isLoose`, or that of a packed message.
    private var places: [Int] = []
    /// The calls of `remove` before another attempt, after a packing that failed.
    private var pause = 0

    /// The number of sockets that were put and not removed.
    public private(set) var count = 0
    /// The number of descriptors in flight.
    public private(set) var inFlight = 0

    private struct Message {
        /// Again with numbers of sockets that have ended.
        let sockets: [Int32]
        /// The number of its descriptors, with those of sockets that have their place elsewhere.
        let copies: Int
    }

    private static let nowhere = 0
    private static let isLoose = -1

    /// Makes an empty parcel.
    public init() throws(SystemError) {
        let first = try UnixSocket.pair(ofMessages: true)
        let second = try UnixSocket.pair(ofMessages: true)
        looseQueue = DescriptorQueue(first)
        packedQueue = DescriptorQueue(second)
    }

    /// Takes over the parcel of an earlier process by its descriptors. Call `unpack` before any other method.
    public init(adopting descriptors: [Int32]) {
        precondition(descriptors.count == Self.descriptorCount, "not the descriptors of a parcel")
        let ends = descriptors
        looseQueue = DescriptorQueue(
            entry: OwnedDescriptor(owning: ends[0]), exit: OwnedDescriptor(owning: ends[1]))
        packedQueue = DescriptorQueue(
            entry: OwnedDescriptor(owning: ends[2]), exit: OwnedDescriptor(owning: ends[3]))
    }

    public static let descriptorCount = 4

    /// The four ends, in the order that `init(adopting:)` expects; valid while this object lives.
    public var descriptors: [Int32] { looseQueue.descriptors + packedQueue.descriptors }

    // MARK: - Sockets in and out

    /// Adds a socket. The caller calls `remove` before it closes this descriptor.
    public func put(_ socket: Int32) -> Outcome {
        if looseMessages >= DescriptorQueue.messageSize { packLoose() }
        var error = looseQueue.add(one: socket)
        if error?.code == EAGAIN, looseMessages > 0 {
            // The kernel has less room than usual.
            packLoose()
            error = looseQueue.add(one: socket)
        }
        if let error { return .refused(error) }
        loose.append(socket)
        looseMessages += 1
        inFlight += 1
        setPlace(of: socket, to: Self.isLoose)
        return .kept
    }

    /// Forgets a socket that was put or unpacked.
    public func remove(_ socket: Int32) {
        setPlace(of: socket, to: Self.nowhere)
        if pause > 0 {
            pause -= 1
        } else if isWasteful {
            pack()
        }
    }

    /// Passes each socket of an adopted parcel to the body, once. All of them stay in the parcel.
    ///
    /// Among them are sockets that an earlier process removed, until a packing. The caller knows the cookies of its sessions,
    /// and removes and closes all others.
    ///
    /// `EMFILE`: the sockets and the duplicates of one message do not fit into the table of descriptors.
    public func unpack(_ body: (consuming OwnedDescriptor) -> Void) throws(SystemError) {
        precondition(inFlight == 0, "unpacked twice")
        var (seen, found): (Set<UInt64>, [Int32]) = ([], [])
        // Returns those that were not seen before.
        func firsts(_ message: ArraySlice<Int32>) -> [Int32] {
            message.filter { socket in
                if let identity = UnixSocket.identity(of: socket), seen.insert(identity).inserted {
                    return true
                }
                close(socket)
                return false
            }
        }
        var (copies, looseMessages, looseSockets): (Int, Int, [Int32]) = (0, 0, [])
        var packed: [Message] = []
        do throws(SystemError) {
            try packedQueue.peekAll { message in
                copies += message.count
                let sockets = firsts(message)
                packed.append(Message(sockets: sockets, copies: message.count))
                found += sockets
            }
            try looseQueue.peekAll { message in
                copies += message.count
                looseMessages += 1
                let sockets = firsts(message)
                looseSockets += sockets
                found += sockets
            }
        } catch {
            for socket in found { close(socket) }
            throw error
        }
        (inFlight, self.looseMessages, loose, self.packed) = (copies, looseMessages, looseSockets, packed)
        for (index, message) in packed.enumerated() {
            for socket in message.sockets { setPlace(of: socket, to: firstPacked + index) }
        }
        for socket in loose { setPlace(of: socket, to: Self.isLoose) }
        for socket in found { body(OwnedDescriptor(owning: socket)) }
    }

    private func setPlace(of socket: Int32, to place: Int) {
        precondition(socket >= 0, "not a descriptor")
        let index = Int(socket)
        if index >= places.count {
            let missing = max(index + 1, 2 * places.count) - places.count
            places += repeatElement(Self.nowhere, count: missing)
        }
        precondition(
            (places[index] == Self.nowhere) != (place == Self.nowhere),
            "put twice, or removed without being put")
        places[index] = place
        count += place == Self.nowhere ? -1 : 1
    }

    // MARK: - Packing

    /// Whether a packing would free much: sockets of ended sessions, or messages with few sockets.
    private var isWasteful: Bool {
        let size = DescriptorQueue.messageSize
        return inFlight > 2 * count + 2 * size || packed.count > 2 * (count / size) + 16
    }

    /// Moves all sockets into as few messages as possible. Whatever fails is tried again later.
    private func pack() {
        if !packLoose() || !packAgain() { pause = DescriptorQueue.messageSize }
    }

    /// Moves the loose sockets into packed messages, and removes the loose messages. Returns false if that failed: then
    /// they are still loose.
    @discardableResult
    private func packLoose() -> Bool {
        var moved: [Int32] = []
        for socket in loose where places[Int(socket)] == Self.isLoose {
            // A number that came again stands in `loose` twice.
            places[Int(socket)] = Self.nowhere
            moved.append(socket)
        }
        var isSent = true
        var rest = moved[...]
        while !rest.isEmpty, isSent {
            let part = rest.prefix(DescriptorQueue.messageSize)
            isSent = addPacked(Array(part))
            if isSent { rest = rest.dropFirst(part.count) }
        }
        for socket in rest { places[Int(socket)] = Self.isLoose }
        guard isSent else { return false }
        looseQueue.removeFirst(looseMessages)
        inFlight -= looseMessages
        looseMessages = 0
        loose.removeAll(keepingCapacity: true)
        if isWasteful, pause == 0 { packAgain() }
        return true
    }

    /// Moves the sockets of all packed messages into new ones, and removes each old message once its sockets are in a new
    /// one. So at most 253 sockets are in flight twice. Returns false if that failed: then the rest is as before.
    @discardableResult
    private func packAgain() -> Bool {
        let end = firstPacked + packed.count
        var moved: [Int32] = []
        for place in firstPacked..<end {
            for socket in packed[place - firstPacked].sockets where places[Int(socket)] == place {
                moved.append(socket)
                guard moved.count == DescriptorQueue.messageSize else { continue }
                guard addPacked(moved) else { return false }
                moved.removeAll(keepingCapacity: true)
                removePacked(before: place)
            }
            if moved.isEmpty { removePacked(before: place + 1) }
        }
        guard moved.isEmpty || addPacked(moved) else { return false }
        removePacked(before: end)
        return true
    }

    /// Sends a packed message, which becomes the place of its sockets. Returns false if the kernel refuses it.
    private func addPacked(_ sockets: [Int32]) -> Bool {
        guard sockets.withUnsafeBufferPointer({ packedQueue.add($0) }) == nil else { return false }
        let place = firstPacked + packed.count
        for socket in sockets { places[Int(socket)] = place }
        packed.append(Message(sockets: sockets, copies: sockets.count))
        inFlight += sockets.count
        return true
    }

    private func removePacked(before place: Int) {
        let count = place - firstPacked
        guard count > 0 else { return }
        packedQueue.removeFirst(count)
        inFlight -= packed[..<count].reduce(0) { $0 + $1.copies }
        packed.removeFirst(count)
        firstPacked = place
    }
}
