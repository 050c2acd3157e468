#if Etcd
    import EtcdClient
#endif

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
}
