internal import CKeeper
internal import CLinux
internal import Glibc
public import Posix

/// A worker's connection to its keeper.
///
/// 1. A message that was sent is carried out, even if the worker is killed at once after it.
/// 2. Sending does not wait. The keeper reads without pause, so `EAGAIN` means that it is stopped.
/// 3. The descriptor `rawValue` becomes readable only at the keeper's end, because the keeper sends nothing.
public struct KeeperChannel: ~Copyable {
    private let socket: OwnedDescriptor

    init(_ socket: consuming OwnedDescriptor) { self.socket = socket }

    /// The descriptor to poll for the keeper's end.
    public var rawValue: Int32 { socket.rawValue }

    /// Whether the keeper has ended.
    public var isKeeperGone: Bool {
        var byte: UInt8 = 0
        let count = recv(socket.rawValue, &byte, 1, Int32(MSG_DONTWAIT))
        // The first call after the end of a keeper that had not taken all orders fails with ECONNRESET.
        return count == 0 || count < 0 && errno != EAGAIN && errno != EINTR
    }

    /// Gives descriptors to the keeper, in place of those that it has under this name. The caller keeps its own.
    public func keep(_ name: String, _ descriptors: [Int32]) throws(SystemError) {
        precondition(name != "control", "the name of the channel itself")
        precondition((1...KEEPER_MOST_DESCRIPTORS).contains(descriptors.count))
        try send(KEEPER_KEEP, name, descriptors: descriptors)
    }

    /// Makes the keeper close the descriptors of a name.
    public func drop(_ name: String) throws(SystemError) { try send(KEEPER_DROP, name) }

    /// Reports that this worker has begun to serve. A worker that is killed before that counts as a fault of what is kept.
    public func ready() throws(SystemError) { try send(KEEPER_READY) }

    /// Makes the keeper kill this worker if it does not call this again within so many milliseconds; zero for never.
    public func watch(milliseconds: UInt32) throws(SystemError) {
        try send(KEEPER_WATCH, milliseconds: milliseconds)
    }

    /// Makes this worker the last one, however it ends.
    public func leave() throws(SystemError) { try send(KEEPER_LEAVE) }

    /// Makes the keeper count crashes anew, because their cause is found, and gone.
    public func pardon() throws(SystemError) { try send(KEEPER_PARDON) }

    private func send(
        _ order: keeper_order, _ name: String? = nil, milliseconds: UInt32 = 0, descriptors: [Int32] = []
    ) throws(SystemError) {
        var message = keeper_message()
        message.order = UInt32(order.rawValue)
        message.milliseconds = milliseconds
        if let name { KeeperName.write(name, to: &message.name) }
        while true {
            let size = MemoryLayout<keeper_message>.size
            if linux_send_descriptors(
                socket.rawValue, &message, size, descriptors, Int32(descriptors.count)) >= 0
            {
                return
            }
            if errno != EINTR { throw .last("sendmsg", "to the keeper") }
        }
    }
}
