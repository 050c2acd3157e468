#if Systemd
    import CSystemd
    import Glibc
#endif

/// A listening socket that the service manager opened and passed to this process when it started the process.
///
/// This is plain data: the code that takes it owns the descriptor and closes it.
public struct InheritedSocket: Sendable, Equatable {
    /// The open descriptor, which `exec` closes.
    public let descriptor: Int32
    /// The value of `FileDescriptorName=` in the socket's unit; by default the unit's own name.
    public let name: String
}

#if Systemd
    extension InheritedSocket {
        /// Whether a keeper has stored it: `CKeeper.h` states the form of the name.
        fileprivate var isKept: Bool { name.hasPrefix("kept-") }

        /// Closes it, and has the manager close it.
        fileprivate func drop() {
            close(descriptor)
            let manager = getenv("NOTIFY_SOCKET").flatMap { DatagramSender(path: String(cString: $0)) }
            _ = manager?.send(Array("FDSTOREREMOVE=1\nFDNAME=\(name)".utf8))
        }
    }
#endif

/// The sockets of socket activation (`sd_listen_fds_with_names(3)`).
public enum InheritedSockets {
    /// Takes all sockets that the manager passed to this process, in the order of the unit; none if it was started
    /// otherwise.
    ///
    /// A second call returns none, because each descriptor has one owner. No child takes them either: the call removes
    /// the variables from the environment. So call it before there is a second thread.
    ///
    /// The manager also passes what it stores for a keeper. A worker does not get that here, so a process that does serves
    /// without a keeper: it drops what is stored. Otherwise the former sessions would wait for an answer for ever.
    ///
    /// - Throws: the `errno` of a variable with an invalid value.
    public static func take() throws(InheritanceError) -> [InheritedSocket] {
        #if Systemd
            // To ask libsystemd would load it.
            guard getenv("LISTEN_FDS") != nil || getenv("LISTEN_PID") != nil else { return [] }
            var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
            let count = sd_listen_fds_with_names(1, &names)
            guard count >= 0 else { throw InheritanceError(code: -count) }
            guard let names else { return [] }
            defer { free(names) }
            let all = (0..<count).map { offset in
                let name = names[Int(offset)]
                defer { free(name) }
                return InheritedSocket(
                    descriptor: SD_LISTEN_FDS_START + offset, name: name.map { String(cString: $0) } ?? "")
            }
            for stored in all where stored.isKept { stored.drop() }
            return all.filter { !$0.isKept }
        #else
            return []
        #endif
    }
}

/// The environment variables of socket activation are invalid, so the sockets could not be taken.
public struct InheritanceError: Error, Sendable, CustomStringConvertible {
    /// The `errno` that libsystemd returned.
    public let code: Int32

    public var description: String { "LISTEN_FDS is not usable (error \(code))" }
}
