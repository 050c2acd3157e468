// The words in which claims speak to etcd: a small part of its API, and nothing of its encoding. `EtcdClient` carries them to
// a real cluster; the simulation has a store of its own.

/// A revision of the store. It rises with each transaction that changes something.
public typealias Revision = Int64

/// A lease of the store, which ends keys that are tied to it.
public typealias LeaseID = Int64

/// A key with its value.
public struct KeyValue: Sendable, Equatable {
    public var key: [UInt8]
    public var value: [UInt8]
    /// The revision at which the key came into being.
    public var created: Revision
    /// The revision of its last change.
    public var modified: Revision
    /// The lease that it is tied to; 0 for none.
    public var lease: LeaseID

    public init(key: [UInt8], value: [UInt8], created: Revision, modified: Revision, lease: LeaseID = 0) {
        (self.key, self.value, self.created, self.modified, self.lease) = (
            key, value, created, modified, lease
        )
    }
}

/// A comparison of a transaction. An absent key was created and modified at 0.
public enum Comparison: Sendable, Equatable {
    case created(key: [UInt8], at: Revision)
    case notCreated(key: [UInt8], at: Revision)
    case modified(key: [UInt8], at: Revision)
}

/// One operation of a transaction.
public enum StoreOperation: Sendable, Equatable {
    case put(key: [UInt8], value: [UInt8], lease: LeaseID)
    case delete(key: [UInt8])
    case get(key: [UInt8])
    /// All keys that begin with a prefix, in the order of their bytes, after this key if there is one, at most so many.
    case list(prefix: [UInt8], after: [UInt8]?, limit: Int64)
}

/// Operations that are carried out together, and only if all comparisons hold; otherwise the others are. All reads are
/// linearizable.
public struct Transaction: Sendable, Equatable {
    public var comparisons: [Comparison]
    public var then: [StoreOperation]
    public var otherwise: [StoreOperation]

    public init(if comparisons: [Comparison] = [], then: [StoreOperation], otherwise: [StoreOperation] = []) {
        (self.comparisons, self.then, self.otherwise) = (comparisons, then, otherwise)
    }
}

/// What is asked of the store.
public enum StoreRequest: Sendable, Equatable {
    /// A new lease with this time to live in whole seconds. The store may give it a longer one.
    case grantLease(seconds: Int64)
    case keepAlive(LeaseID)
    case revokeLease(LeaseID)
    case transaction(Transaction)
    /// All changes of keys with this prefix, from this revision on, as `StoreEvent`s. There is one watch at a time: a new one ends
    /// the former.
    case watch(prefix: [UInt8], from: Revision)
}

/// What the store answered. `watch` has no answer but its events.
public enum StoreAnswer: Sendable, Equatable {
    /// The new lease, with the time to live that the store gave it.
    case lease(LeaseID, seconds: Int64)
    /// The lease lives, with its time to live; 0 if it has ended.
    case alive(seconds: Int64)
    case revoked
    /// Whether the comparisons held, what each operation read (empty for a put or delete; a `list` may have more), and the
    /// store's revision.
    case transaction(succeeded: Bool, reads: [[KeyValue]], revision: Revision)
    /// No answer came. The request may have been carried out, may yet be carried out, or never.
    case unknown(String)
    /// The store refused the request, which was not carried out and never will be.
    case refused(StoreRefusal)
}

/// Why the store refuses a request for certain.
public enum StoreRefusal: Sendable, Equatable {
    case leaseNotFound
    /// User, password, certificate or rights; with the store's words.
    case notPermitted(String)
    /// The store has no room (`NOSPACE`).
    case full
    case other(String)
}

/// What happens without a request.
public enum StoreEvent: Sendable, Equatable {
    /// The changes of one revision, in order, or the part of them in one message.
    case changes([StoreChange], revision: Revision)
    /// The watch has ended, and changes may be missing: list anew, and watch from there.
    case watchLost(String)
    /// A connection was made, or the last one was lost, with the reason.
    case connected
    case disconnected(String)
}

public enum StoreChange: Sendable, Equatable {
    case put(KeyValue)
    case deleted(key: [UInt8], at: Revision)
}

/// The number of a request, by which its answer is known.
public struct StoreRequestID: Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }
}
