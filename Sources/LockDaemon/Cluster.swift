import LockClaims
import LockVocabulary

#if Etcd
    import EtcdClient
#endif

/// The way to the cluster: it carries requests, and calls back with answers and events, on the main thread, within `serve` and
/// `flush` only.
@MainActor protocol StoreLink: AnyObject {
    /// Takes a request. Its bytes leave with the next `flush`.
    func send(_ id: StoreRequestID, _ request: StoreRequest, deadline: Instant)
    func flush()
    func close()
    /// A descriptor that is readable while there is something for `serve` to do, which calls back.
    var handle: Int32 { get }
    func serve()
    /// What keeps the link from the cluster, in words for the operator; nil while it is connected.
    var fault: String? { get }
}

/// What this build knows of clusters.
enum Cluster {
    /// Why a URL names no cluster for this build; nil if it does.
    static func fault(inURL text: String) -> String? {
        #if Etcd
            do throws(EtcdURL.Fault) {
                _ = try EtcdURL(text)
                return nil
            } catch {
                return error.description
            }
        #else
            "this prwlockd knows no clusters: build it with `swift build --traits default,Etcd`"
        #endif
    }

    /// What all keys begin with.
    static func keyPrefix(ofURL text: String) -> [UInt8] {
        #if Etcd
            Array(((try? EtcdURL(text))?.prefix ?? EtcdURL.standardPrefix).utf8)
        #else
            Array("prwlock/".utf8)
        #endif
    }

    /// Throws if the settings cannot be used, as far as it can be known without the cluster.
    @MainActor static func check(_ settings: ClusterSettings) throws(Departure) {
        guard let text = settings.url else { return }
        try settings.checkKey()
        let password = try settings.password()
        #if Etcd
            try EtcdStoreLink.check(text, settings, password: password)
        #else
            _ = password
            throw Departure(.usage, fault(inURL: text) ?? "")
        #endif
    }

    /// Begins to connect. The callbacks come with calls of `serve`.
    @MainActor static func link(
        _ settings: ClusterSettings, password: String?,
        answer: @escaping @MainActor (StoreRequestID, StoreAnswer) -> Void,
        event: @escaping @MainActor (StoreEvent) -> Void
    ) throws(Departure) -> (any StoreLink)? {
        guard let text = settings.url else { return nil }
        #if Etcd
            return try EtcdStoreLink(text, settings, password: password, answer: answer, event: event)
        #else
            throw Departure(.usage, fault(inURL: text) ?? "")
        #endif
    }
}
