#if Etcd
    import EtcdClient
    import Glibc
    import LockClaims
    import LockVocabulary
    import TestSupport
    import Testing

    @Suite(
        "Only members and hosts that can prove who they are", .serialized, .timeLimit(.minutes(2)),
        .enabled(if: Cluster.isInstalled, "etcd-server and etcd-client are not installed"))
    @MainActor struct AccessTests {
        /// A cluster that shows and asks for certificates, and the files of them.
        private struct Certified {
            let directory: TemporaryDirectory
            let cluster: Cluster

            @MainActor init() throws {
                directory = try TemporaryDirectory()
                for authority in ["ca", "other"] {
                    try Self.openssl(
                        directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=\(authority)", "-keyout", directory("\(authority).key"), "-out",
                        directory("\(authority).pem"))
                }
                let extensions = open(directory("names"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
                let text = "subjectAltName=IP:127.0.0.1,DNS:localhost\n"
                write(extensions, text, text.utf8.count)
                close(extensions)
                for (name, authority) in [("server", "ca"), ("client", "ca"), ("stranger", "other")] {
                    try Self.openssl(
                        directory, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=\(name)", "-keyout",
                        directory("\(name).key"), "-out", directory("\(name).csr"))
                    try Self.openssl(
                        directory, "x509", "-req", "-in", directory("\(name).csr"), "-CA",
                        directory("\(authority).pem"),
                        "-CAkey", directory("\(authority).key"), "-CAcreateserial", "-days", "2", "-extfile",
                        directory("names"), "-out", directory("\(name).pem"))
                }
                cluster = try Cluster(
                    options: [
                        "--cert-file", directory("server.pem"), "--key-file", directory("server.key"),
                        "--client-cert-auth",
                        "--trusted-ca-file", directory("ca.pem"),
                    ], scheme: "https", in: directory)
            }

            @MainActor private static func openssl(_ directory: TemporaryDirectory, _ arguments: String...)
                throws
            {
                try Cluster.run("openssl", arguments, output: directory("openssl.out"))
            }

            func credentials(authorities: String = "ca", client: String? = "client", key: String? = nil)
                -> EtcdCredentials
            {
                EtcdCredentials(
                    authorities: directory("\(authorities).pem"),
                    certificate: client.map { directory("\($0).pem") },
                    key: (key ?? client).map { directory("\($0).key") })
            }
        }

        @Test("TLS with certificates on both sides, and what is wrong with others")
        func certificates() async throws {
            let certified = try Certified()
            let url = certified.cluster.url
            let user = try LinkUser(url, certified.credentials())
            #expect(await user.put("t/a", String(repeating: "x", count: 100_000)).revision != nil)
            #expect(await user.get("t/a").values.first?.utf8.count == 100_000)
            let byName = try LinkUser(url.replacing("127.0.0.1", with: "localhost"), certified.credentials())
            #expect(await byName.get("t/a").values.count == 1)

            let distrusting = try LinkUser(url, certified.credentials(authorities: "other"))
            #expect(await distrusting.disconnected().contains("certificate of 127.0.0.1 is not accepted"))
            let wrongName = try LinkUser(
                url.replacing("127.0.0.1", with: "127.0.0.2"), certified.credentials())
            // etcd listens at one address only: what is compared is not reached.
            #expect(await wrongName.disconnected().contains("127.0.0.2"))
            for credentials in [
                certified.credentials(client: nil), certified.credentials(client: "stranger"),
            ] {
                let stranger = try LinkUser(url, credentials)
                let reason = await stranger.disconnected()
                #expect(reason.contains("TLS") && reason.contains("certificate"), "\(reason)")
            }
            let plain = try LinkUser(url.replacing("etcds", with: "etcd"))
            let reason = await plain.disconnected()
            #expect(reason.contains("etcds://"), "\(reason)")
        }

        @Test("files of certificates that cannot be used are found at the start")
        func files() throws {
            let certified = try Certified()
            let url = certified.cluster.url
            let fault = #expect(throws: EtcdFault.self) {
                try LinkUser(url, certified.credentials(authorities: "none"))
            }
            #expect(fault?.description.contains("none.pem") == true)
            let pair = certified.credentials(client: "client", key: "server")
            let mismatch = #expect(throws: EtcdFault.self) { try LinkUser(url, pair) }
            #expect(mismatch?.description.contains("client") == true, "\(mismatch?.description ?? "")")
            let half = EtcdCredentials(certificate: certified.directory("client.pem"))
            #expect(throws: EtcdFault.self) { try LinkUser(url, half) }
        }

        @Test("TLS to a server without it")
        func strangers() async throws {
            let cluster = try Cluster()
            let plain = try LinkUser(cluster.url)
            await plain.connected()
            let user = try LinkUser(cluster.url.replacing("etcd://", with: "etcds://"))
            let reason = await user.disconnected()
            #expect(reason.contains("does not speak TLS"), "\(reason)")
        }

        @Test("a user with a role for one prefix; a wrong password; a token that has ended")
        func password() async throws {
            let cluster = try Cluster()
            let before = try LinkUser(cluster.url)
            await before.put("t/a", "1")
            try cluster.control("user", "add", "root:secret")
            try cluster.control("user", "add", "host:pass")
            try cluster.control("role", "add", "locks")
            try cluster.control("role", "grant-permission", "locks", "--prefix=true", "readwrite", "t/")
            try cluster.control("user", "grant-role", "root", "root")
            try cluster.control("user", "grant-role", "host", "locks")
            try cluster.control("auth", "enable")
            cluster.clientOptions = ["--user", "root:secret"]

            let user = try LinkUser(cluster.url, EtcdCredentials(user: "host", password: "pass"))
            #expect(await user.put("t/a", "2").revision != nil)
            guard case .lease(let lease, _) = await user.ask(.grantLease(seconds: 60)) else {
                Issue.record("no lease")
                return
            }
            #expect(await user.put("t/a", "3", lease: lease).revision != nil)
            #expect(await user.ask(.keepAlive(lease)) == .alive(seconds: 60))
            if case .notPermitted? = await user.put("u/a", "").refusal {
            } else {
                Issue.record("u/ is not permitted")
            }
            user.watch("t/", from: 1)
            _ = await user.event { $0.revision != nil }
            user.watch("u/", from: 1)
            let lost = await user.event { if case .watchLost = $0 { true } else { false } }
            #expect(lost == .watchLost("etcd does not permit to watch the keys below the prefix"))

            // A change of rights makes all tokens too old.
            try cluster.control("role", "add", "more")
            #expect(await user.put("t/a", "4").revision != nil)
            try cluster.control("role", "delete", "more")
            user.watch("t/", from: 1)
            _ = await user.event { $0.revision != nil }

            let wrong = try LinkUser(cluster.url, EtcdCredentials(user: "host", password: "word"))
            let refusal = await wrong.ask(.grantLease(seconds: 60)).refusal
            guard case .notPermitted(let words)? = refusal else {
                Issue.record("\(String(describing: refusal))")
                return
            }
            #expect(words.contains("does not accept the password of user host"))
            #expect(!words.contains("word:"))
            if case .notPermitted? = await before.put("t/a", "").refusal {
            } else {
                Issue.record("without a user")
            }
        }

        @Test("a password where none is asked for does no harm")
        func needless() async throws {
            let cluster = try Cluster()
            let user = try LinkUser(cluster.url, EtcdCredentials(user: "host", password: "pass"))
            #expect(await user.put("t/a", "1").revision != nil)
        }
    }
#endif
