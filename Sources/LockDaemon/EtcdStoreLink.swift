#if Etcd
    import EtcdClient
    import LockClaims
    import LockVocabulary

    /// The way to etcd.
    @MainActor final class EtcdStoreLink: StoreLink {
        private let link: EtcdLink

        init(
            _ text: String, _ settings: ClusterSettings, password: String?,
            answer: @escaping @MainActor (StoreRequestID, StoreAnswer) -> Void,
            event: @escaping @MainActor (StoreEvent) -> Void
        ) throws(Departure) {
            let url: EtcdURL
            do throws(EtcdURL.Fault) { url = try EtcdURL(text) } catch {
                throw Departure(.usage, "cluster: \(error)")
            }
            let credentials = EtcdCredentials(
                authorities: settings.authorities, certificate: settings.certificate, key: settings.key,
                user: settings.user, password: password)
            do throws(EtcdFault) {
                // The claims count from when they gave out a request, which is earlier than when its bytes left.
                link = try EtcdLink(
                    url, credentials: credentials, answer: { id, reply, _ in answer(id, reply) }, event: event
                )
            } catch {
                throw Departure(.usage, "cluster: \(error)")
            }
        }

        func send(_ id: StoreRequestID, _ request: StoreRequest, deadline: Instant) {
            link.send(id, request, deadline: deadline)
        }

        func flush() { link.flush() }

        func close() { link.close() }

        var fault: String? {
            link.status.member == nil ? link.status.lastError ?? "not connected yet" : nil
        }
    }
#endif
