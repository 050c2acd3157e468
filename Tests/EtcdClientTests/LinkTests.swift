#if Etcd
    import EtcdClient
    import Glibc
    import LockClaims
    import LockVocabulary
    import Testing

    /// Against real etcd processes. `.enabled` skips these tests, with its message, where etcd is not installed.
    @Suite(
        "A link to a real cluster", .serialized, .timeLimit(.minutes(2)),
        .enabled(if: Cluster.isInstalled, "etcd-server and etcd-client are not installed"))
    @MainActor struct LinkTests {
        @Test("leases, transactions and lists")
        func requests() async throws {
            let cluster = try Cluster()
            let user = try LinkUser(cluster.url)
            let before = LinkUser.now
            guard case .lease(let lease, let seconds) = await user.ask(.grantLease(seconds: 60)) else {
                Issue.record("no lease")
                return
            }
            #expect(seconds == 60)
            await user.put("t/a", "one", lease: lease)
            let put = await user.put("t/b", "two")
            let revision = try #require(put.revision)

            let read = await user.ask(
                .transaction(
                    Transaction(
                        if: [
                            .modified(key: Array("t/b".utf8), at: revision),
                            .created(key: Array("t/c".utf8), at: 0),
                        ],
                        then: [
                            .get(key: Array("t/a".utf8)), .put(key: Array("t/c".utf8), value: [], lease: 0),
                            .list(prefix: Array("t/".utf8), after: Array("t/a".utf8), limit: 1),
                        ])))
            guard case .transaction(true, let reads, revision + 1) = read else {
                Issue.record("\(read)")
                return
            }
            #expect(
                reads.map { $0.map { String(decoding: $0.key, as: UTF8.self) } } == [["t/a"], [], ["t/b"]])
            #expect(reads.first?.first?.lease == lease)
            let failed = await user.ask(
                .transaction(
                    Transaction(
                        if: [.notCreated(key: Array("t/c".utf8), at: revision + 1)], then: [],
                        otherwise: [.get(key: Array("t/b".utf8))])))
            #expect(failed.values == ["two"])

            let id = user.send(.keepAlive(lease))
            user.link.flush()
            #expect(await user.answer(to: id) == .alive(seconds: 60))
            let sentAt = try #require(user.sendTime(of: id))
            #expect(sentAt >= before && sentAt <= LinkUser.now)
            #expect(await user.ask(.revokeLease(lease)) == .revoked)
            #expect(await user.get("t/a").values == [])
            #expect(await user.ask(.revokeLease(lease)).refusal == .leaseNotFound)
            #expect(await user.ask(.keepAlive(lease)) == .alive(seconds: 0))
            #expect(await user.put("t/a", "late", lease: lease).refusal == .leaseNotFound)
        }

        @Test("nothing of a request leaves before the flush")
        func flush() async throws {
            let cluster = try Cluster()
            let user = try LinkUser(cluster.url)
            let other = try LinkUser(cluster.url)
            await user.connected()
            let id = user.send(.transaction(Transaction(then: [.put(key: [0x61], value: [0x78], lease: 0)])))
            await other.put("b", "")
            #expect(await other.get("a").values == [])
            user.link.flush()
            #expect(await user.answer(to: id).revision != nil)
            #expect(await other.get("a").values == ["x"])
        }

        @Test("a watch goes on after a change of the connection, and says if changes are lost to compaction")
        func watch() async throws {
            let cluster = try Cluster()
            let writer = try LinkUser(cluster.url)
            let watcher = try LinkUser(cluster.url)
            let first = try #require(await writer.put("t/a", "0").revision)
            watcher.watch("t/", from: first)
            _ = await watcher.event { $0.revision == first }
            let second = try #require(await writer.put("t/a", "1").revision)
            #expect(await watcher.event { $0.revision != nil }.revision == second)

            cluster.members[0].kill()
            _ = await watcher.disconnected()
            try cluster.restart(cluster.members[0])
            let third = try #require(await writer.put("t/a", "2").revision)
            #expect(await watcher.event { $0.revision != nil }.revision == third)

            _ = try cluster.control("compaction", "\(third)")
            watcher.watch("t/", from: first)
            let lost = await watcher.event { if case .watchLost = $0 { true } else { false } }
            #expect(lost == .watchLost("changes before revision \(third) are compacted"))
            watcher.watch("t/", from: third)
            _ = await watcher.event { $0.revision == third }
        }

        @Test("changes of more than a message of etcd's come in parts, and none is missing")
        func fragments() async throws {
            let cluster = try Cluster()
            let user = try LinkUser(cluster.url)
            let value = [UInt8](repeating: 0x78, count: 300_000)
            let first = try #require(await user.put("t/begin", "").revision)
            for number in UInt8(0)..<20 {
                let put = StoreOperation.put(key: Array("t/".utf8) + [number], value: value, lease: 0)
                _ = await user.askAgain(.transaction(Transaction(then: [put])))
            }
            user.watch("t/", from: first + 1)
            for number in 1...20 { _ = await user.event { $0.revision == first + Revision(number) } }
            let listed = await user.ask(
                .transaction(Transaction(then: [.list(prefix: Array("t/".utf8), after: nil, limit: 100)])))
            #expect(listed.values.map(\.utf8.count).reduce(0, +) == 6_000_000)
        }

        @Test("a quota that is full is a refusal, and room helps")
        func quota() async throws {
            let cluster = try Cluster(options: ["--quota-backend-bytes", "2000000"])
            let user = try LinkUser(cluster.url)
            let big = String(repeating: "x", count: 500_000)
            // etcd counts what is on disk, where it writes ten times a second: how many it takes before depends on the disk.
            var answer = await user.put("t/a", big)
            while answer.revision != nil { answer = await user.put("t/a", big) }
            #expect(answer.refusal == .full, "\(answer)")
            #expect(await user.put("t/b", big).refusal == .full)
            let removals = [StoreOperation.delete(key: Array("t/a".utf8))]
            #expect(await user.askAgain(.transaction(Transaction(then: removals))).revision != nil)
        }

        @Test("a stopped member: the answer is unknown at the deadline, and the next member serves")
        func stopped() async throws {
            let cluster = try Cluster(members: 3)
            let user = try LinkUser(cluster.url)
            await user.put("t/a", "1")
            let port = try #require(user.link.status.member?.port)
            let serving = try #require(cluster.members.first { $0.port == Int(port) })
            serving.signal(SIGSTOP)
            defer { serving.signal(SIGCONT) }
            let before = LinkUser.now
            let unanswered = await user.ask(
                .transaction(Transaction(then: [.put(key: Array("t/b".utf8), value: [], lease: 0)])),
                within: .milliseconds(500))
            #expect(unanswered.isUnknown)
            #expect(before.duration(to: LinkUser.now) < .seconds(2))
            #expect(await user.put("t/a", "2").revision != nil)
            #expect(user.link.status.member?.port != port)
        }

        @Test("the leader is killed: leases are kept alive by another member")
        func killed() async throws {
            let cluster = try Cluster(members: 3)
            let user = try LinkUser(cluster.url)
            await user.put("t/a", "1")
            guard case .lease(let lease, _) = await user.askAgain(.grantLease(seconds: 30)) else {
                Issue.record("no lease")
                return
            }
            try cluster.leader().kill()
            #expect(await user.askAgain(.keepAlive(lease)) == .alive(seconds: 30))
            #expect(await user.put("t/a", "2").revision != nil)
        }

        @Test("a member without a majority is left, with what is wrong, and each request has its answer")
        func minority() async throws {
            let cluster = try Cluster(members: 3)
            let user = try LinkUser(cluster.url(of: [cluster.members[0]]))
            await user.put("t/a", "1")
            for member in cluster.members.dropFirst() { member.kill() }
            let answer = await user.ask(
                .transaction(Transaction(then: [.get(key: Array("t/a".utf8))])), within: .seconds(6))
            #expect(answer.isUnknown)
            let error = try #require(user.link.status.lastError)
            #expect(error.contains("leader") || error.contains("in time"), "\(error)")
            #expect(user.link.status.member == nil || error.contains("in time"))
        }

        @Test("where nothing listens, a request waits for its deadline, and the status names the cause")
        func nothing() async throws {
            let user = try LinkUser("etcd://127.0.0.1:\(try Cluster.freePorts())")
            let answer = await user.ask(.grantLease(seconds: 5), within: .milliseconds(300))
            #expect(answer.isUnknown)
            #expect(user.link.status.lastError?.contains("nothing listens there") == true)
            #expect(user.link.status.member == nil)
            let lost = try LinkUser("etcd://name.invalid")
            #expect(await lost.disconnected().contains("cannot be found"))
        }
    }

    extension StoreEvent {
        var revision: Revision? { if case .changes(_, let revision) = self { revision } else { nil } }
    }
#endif
