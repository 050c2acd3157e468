import EtcdClient
import Testing

@Suite("A URL names a cluster")
struct EtcdURLTests {
    @Test("hosts, ports and a prefix")
    func all() throws {
        let url = try EtcdURL("etcd://one:2380,10.0.0.2,[::1]:24000/fleet/a")
        #expect(!url.usesTLS)
        #expect(
            url.members == [
                .init(host: "one", port: 2380), .init(host: "10.0.0.2", port: 2379),
                .init(host: "::1", port: 24000),
            ])
        #expect(url.prefix == "fleet/a/")
        #expect(url.description == "etcd://one:2380,10.0.0.2:2379,[::1]:24000/fleet/a")
        #expect(try EtcdURL(url.description) == url)
    }

    @Test("what is left out has a standard")
    func standards() throws {
        let url = try EtcdURL("ETCDS://one")
        #expect(url.usesTLS)
        #expect(url.members == [.init(host: "one", port: 2379)])
        #expect(url.prefix == "prwlock/")
        #expect(try EtcdURL("etcd://one/p/").prefix == "p/")
    }

    @Test(
        "a wrong one says what is wrong",
        arguments: [
            ("one:2379", "begin with etcd://"), ("http://one", "not with http://"),
            ("https://one", "etcds://"),
            ("redis://one", "redis:// is unknown"), ("etcd://", "a host is missing"),
            ("etcd://a,,b", "a host is missing"),
            ("etcd://a:0", "no port"), ("etcd://a:65536", "no port"), ("etcd://a:x", "no port"),
            ("etcd://a:", "no port"),
            ("etcd://::1:2379", "in brackets"), ("etcd://[::1", "not closed"),
            ("etcd://[::1]x", "only :PORT"),
            ("etcd://[one]:1", "no IPv6 address"), ("etcd://a b", "no host"),
            ("etcd://a,a:2379", "names a:2379 twice"),
            ("etcd://a/?x", "must not have ?"), ("etcd://a/é", "the prefix has to be"),
            ("etcd://a//", "prefix"),
            ("etcd://root:secret@a", "has a user in it"),
        ])
    func faults(text: String, reason: String) {
        let fault = #expect(throws: EtcdURL.Fault.self) { try EtcdURL(text) }
        #expect(fault?.description.contains(reason) == true, "\(fault?.description ?? "")")
        #expect(fault?.description.contains("secret") == false)
    }
}
