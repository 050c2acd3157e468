import Glibc
import Keeping
import Posix

/// The accepted socket of a client, and its place in the parcel.
///
/// It leaves the parcel before it is closed. Its copy stays in flight for a while, so the peer would not see the end: the
/// shutdown tells it.
struct ClientSocket: ~Copyable {
    let descriptor: OwnedDescriptor
    /// Nil if the socket ends with this process.
    private let parcel: SocketParcel?

    /// A socket that no parcel has.
    init(_ descriptor: consuming OwnedDescriptor) {
        self.descriptor = descriptor
        parcel = nil
    }

    /// Puts a new socket into the parcel. If the kernel refuses that, the socket ends with this process.
    init(_ descriptor: consuming OwnedDescriptor, puttingInto parcel: SocketParcel?) {
        let isKept = parcel.map { $0.put(descriptor.rawValue) == .kept } ?? false
        self.descriptor = descriptor
        self.parcel = isKept ? parcel : nil
    }

    /// A socket that came out of the parcel, and stays in it.
    init(_ descriptor: consuming OwnedDescriptor, outOf parcel: SocketParcel) {
        self.descriptor = descriptor
        self.parcel = parcel
    }

    var rawValue: Int32 { descriptor.rawValue }

    /// Whether the next worker gets it.
    var isKept: Bool { parcel != nil }

    deinit {
        guard let parcel else { return }
        shutdown(descriptor.rawValue, Int32(SHUT_RDWR))
        parcel.remove(descriptor.rawValue)
    }
}
