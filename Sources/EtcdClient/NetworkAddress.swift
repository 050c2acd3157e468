#if Etcd
    import Dispatch
    import Glibc

    /// An address of a member, as the kernel takes it.
    struct NetworkAddress: Sendable {
        let family: Int32
        let bytes: [UInt8]

        /// Searches for the addresses of a member, and calls back on the main queue.
        ///
        /// A name may take seconds, so it is looked up on a thread of Dispatch. An address is taken as it is, at once.
        @MainActor static func search(
            _ member: EtcdURL.Member,
            then body: @escaping @MainActor @Sendable (Result<[NetworkAddress], EtcdFault>) -> Void
        ) {
            if case .success(let addresses) = find(member, flags: AI_NUMERICHOST) {
                return body(.success(addresses))
            }
            DispatchQueue.global().async {
                let found = find(member, flags: 0)
                DispatchQueue.main.async { body(found) }
            }
        }

        private static func find(_ member: EtcdURL.Member, flags: Int32) -> Result<
            [NetworkAddress], EtcdFault
        > {
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            hints.ai_flags = flags | AI_NUMERICSERV
            var list: UnsafeMutablePointer<addrinfo>?
            let code = getaddrinfo(member.host, "\(member.port)", &hints, &list)
            guard code == 0 else {
                let reason =
                    code == EAI_SYSTEM
                    ? String(cString: strerror(errno)) : String(cString: gai_strerror(code))
                return .failure(EtcdFault("\(member): the host cannot be found: \(reason)"))
            }
            defer { freeaddrinfo(list) }
            var addresses: [NetworkAddress] = []
            var next = list
            while let entry = next?.pointee {
                let bytes = UnsafeRawBufferPointer(start: entry.ai_addr, count: Int(entry.ai_addrlen))
                addresses.append(NetworkAddress(family: entry.ai_family, bytes: [UInt8](bytes)))
                next = entry.ai_next
            }
            return .success(addresses)
        }
    }
#endif
