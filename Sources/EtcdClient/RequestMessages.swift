import LockClaims

// What is sent, as etcd's `rpc.proto` and `kv.proto` define it. The numbers are those of the fields there.

/// The methods that are called.
enum Method: String {
    case authenticate = "/etcdserverpb.Auth/Authenticate"
    case status = "/etcdserverpb.Maintenance/Status"
    case transaction = "/etcdserverpb.KV/Txn"
    case grantLease = "/etcdserverpb.Lease/LeaseGrant"
    case revokeLease = "/etcdserverpb.Lease/LeaseRevoke"
    case keepAlive = "/etcdserverpb.Lease/LeaseKeepAlive"
    case watch = "/etcdserverpb.Watch/Watch"
}

/// The bodies of the requests.
enum RequestMessage {
    private static func message(_ body: (inout ProtobufWriter) -> Void) -> [UInt8] {
        var writer = ProtobufWriter()
        body(&writer)
        return writer.bytes
    }

    static func authenticate(user: String, password: String) -> [UInt8] {
        message {
            $0.add(1, user)
            $0.add(2, password)
        }
    }

    static func grantLease(seconds: Int64) -> [UInt8] { message { $0.add(1, seconds) } }

    /// LeaseRevokeRequest and LeaseKeepAliveRequest.
    static func lease(_ lease: LeaseID) -> [UInt8] { message { $0.add(1, lease) } }

    static func transaction(_ transaction: Transaction) -> [UInt8] {
        message { message in
            for comparison in transaction.comparisons { message.add(1) { $0.add(comparison) } }
            for operation in transaction.then { message.add(2) { $0.add(operation) } }
            for operation in transaction.otherwise { message.add(3) { $0.add(operation) } }
        }
    }

    /// A watch of all keys with the prefix. `fragment` lets etcd split what is longer than its longest message.
    static func watch(prefix: [UInt8], from revision: Revision) -> [UInt8] {
        message { message in
            message.add(1) { create in
                create.add(1, KeyRange.start(of: prefix))
                create.add(2, KeyRange.end(of: prefix))
                create.add(3, revision)
                create.add(8, true)
            }
        }
    }
}

/// The keys that begin with a prefix, as etcd states a range: the first key, and the first one after it that is out of it.
enum KeyRange {
    /// A zero byte is the lowest key, and as an end it means that there is none.
    private static let lowest: [UInt8] = [0]

    static func start(of prefix: [UInt8]) -> [UInt8] { prefix.isEmpty ? lowest : prefix }

    static func end(of prefix: [UInt8]) -> [UInt8] {
        var end = prefix
        while let last = end.popLast() {
            if last < 0xFF { return end + [last + 1] }
        }
        return lowest
    }
}

extension ProtobufWriter {
    /// Compare: result 1 (equal 0, not equal 3), target 2 (created 1, modified 2), key 3, the revision in 5 or 6.
    fileprivate mutating func add(_ comparison: Comparison) {
        switch comparison {
        case .created(let key, let revision):
            add(2, 1)
            add(3, key)
            add(5, revision)
        case .notCreated(let key, let revision):
            add(1, 3)
            add(2, 1)
            add(3, key)
            add(5, revision)
        case .modified(let key, let revision):
            add(2, 2)
            add(3, key)
            add(6, revision)
        }
    }

    /// RequestOp: a range 1, a put 2, a deletion 3. A range is linearizable unless it says otherwise.
    fileprivate mutating func add(_ operation: StoreOperation) {
        switch operation {
        case .get(let key):
            add(1) { $0.add(1, key) }
        case .list(let prefix, let after, let limit):
            add(1) {
                // The first key after another one is that one with a zero byte at its end.
                $0.add(1, after.map { $0 + [0] } ?? KeyRange.start(of: prefix))
                $0.add(2, KeyRange.end(of: prefix))
                $0.add(3, limit)
            }
        case .put(let key, let value, let lease):
            add(2) {
                $0.add(1, key)
                $0.add(2, value)
                $0.add(3, lease)
            }
        case .delete(let key):
            add(3) { $0.add(1, key) }
        }
    }
}
