#if Systemd
    import CSystemd
    import Glibc
#endif

/// A listening socket that the service manager opened and handed over when it started this process.
///
/// It is plain data: whoever took it owns the descriptor and closes it.
public struct InheritedSocket: Sendable, Equatable {
    /// Open, and closed by `exec`.
    public let descriptor: Int32
    /// What `FileDescriptorName=` says in the socket's unit; the unit's own name if it says nothing.
    public let name: String
}

/// The sockets of socket activation (`sd_listen_fds_with_names(3)`).
public enum InheritedSockets {
    /// All that were handed to this very process, in the order of the unit; none if it was started otherwise.
    ///
    /// A second call gives none, for each descriptor has one owner; and no child takes itself for the
    /// one that was meant. It changes the environment: call it before there is a second thread.
    /// The error is what the variables that hand them over have that makes no sense, as an `errno`.
    public static func take() throws(InheritanceError) -> [InheritedSocket] {
        #if Systemd
            var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
            let count = sd_listen_fds_with_names(1, &names)
            guard count >= 0 else { throw InheritanceError(code: -count) }
            guard let names else { return [] }
            defer { free(names) }
            return (0..<count).map { offset in
                let name = names[Int(offset)]
                defer { free(name) }
                return InheritedSocket(
                    descriptor: SD_LISTEN_FDS_START + offset, name: name.map { String(cString: $0) } ?? "")
            }
        #else
            return []
        #endif
    }
}

/// The sockets could not be taken over: the environment that hands them over is not as it should be.
public struct InheritanceError: Error, Sendable, CustomStringConvertible {
    /// The `errno` of it.
    public let code: Int32

    public var description: String { "LISTEN_FDS is not usable (error \(code))" }
}
