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
            let (url, credentials) = try Self.parts(text, settings, password: password)
            do throws(EtcdFault) {
                // The claims count from when they gave out a request, which is earlier than when its bytes left.
                link = try EtcdLink(
                    url, credentials: credentials, answer: { id, reply, _ in answer(id, reply) }, event: event
                )
            } catch {
                throw Departure(.usage, "cluster: \(error)")
            }
        }

        /// Throws if the settings cannot be used, as far as it can be known without the cluster.
        static func check(_ text: String, _ settings: ClusterSettings, password: String?) throws(Departure) {
            let (url, credentials) = try parts(text, settings, password: password)
            do throws(EtcdFault) { try EtcdLink.check(url, credentials) } catch {
                throw Departure(.usage, "cluster: \(error)")
            }
        }

        private static func parts(
            _ text: String, _ settings: ClusterSettings, password: String?
        ) throws(Departure) -> (EtcdURL, EtcdCredentials) {
            let credentials = EtcdCredentials(
                authorities: settings.authorities, certificate: settings.certificate, key: settings.key,
                user: settings.user, password: password)
            do throws(EtcdURL.Fault) { return (try EtcdURL(text), credentials) } catch {
                throw Departure(.usage, "cluster: \(error)")
            }
        }

        func send(_ id: StoreRequestID, _ request: StoreRequest, deadline: Instant) {
            link.send(id, request, deadline: deadline)
        }

        func flush() { link.flush() }

        func close() { link.close() }

        var handle: Int32 { link.handle }

        func serve() { link.serve() }

        var fault: String? {
            link.status.member == nil ? link.status.lastError ?? "not connected yet" : nil
        }
    }
#endif
