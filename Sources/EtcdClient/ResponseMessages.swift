import LockClaims

// What is received. Fields that are not needed are skipped, so that a newer etcd may add some.

/// The head of each answer.
struct ResponseHead: Equatable {
    var revision: Revision = 0
    /// The number of the leader's election, as the member knew it.
    var term: UInt64 = 0
}

struct TransactionResponse: Equatable {
    var head = ResponseHead()
    var succeeded = false
    var reads: [[KeyValue]] = []
}

struct LeaseResponse: Equatable {
    var head = ResponseHead()
    var lease: LeaseID = 0
    var seconds: Int64 = 0
}

struct StatusResponse: Equatable {
    var head = ResponseHead()
    var version = ""
    /// The member that leads; 0 for none.
    var leader: UInt64 = 0
}

struct WatchResponse: Equatable {
    var head = ResponseHead()
    var created = false
    var canceled = false
    /// Not 0 if the revision to begin at is compacted: the first one that is left.
    var compacted: Revision = 0
    var reason = ""
    /// More parts of the same answer follow.
    var isFragment = false
    var changes: [StoreChange] = []
}

extension ArraySlice<UInt8> {
    fileprivate func forEachField(
        _ body: (UInt64, ProtobufReader.Value) throws(MalformedMessage) -> Void
    ) throws(MalformedMessage) {
        var reader = ProtobufReader(self)
        while let (field, value) = try reader.next() { try body(field, value) }
    }
}

extension ResponseHead {
    init(_ message: ArraySlice<UInt8>) throws(MalformedMessage) {
        try message.forEachField { (field, value) throws(MalformedMessage) in
            switch field {
            case 3: revision = try value.number()
            case 4: term = UInt64(bitPattern: try value.number())
            default: break
            }
        }
    }
}

extension TransactionResponse {
    init(_ message: ArraySlice<UInt8>) throws(MalformedMessage) {
        try message.forEachField { (field, value) throws(MalformedMessage) in
            switch field {
            case 1: head = try ResponseHead(try value.bytes())
            case 2: succeeded = try value.flag()
            case 3: reads.append(try Self.reads(of: try value.bytes()))
            default: break
            }
        }
    }

    /// What one operation read: only a range has any.
    private static func reads(of operation: ArraySlice<UInt8>) throws(MalformedMessage) -> [KeyValue] {
        var reads: [KeyValue] = []
        try operation.forEachField { (field, value) throws(MalformedMessage) in
            guard field == 1 else { return }
            try (try value.bytes()).forEachField { (field, value) throws(MalformedMessage) in
                if field == 2 { reads.append(try KeyValue(message: try value.bytes())) }
            }
        }
        return reads
    }
}

extension KeyValue {
    init(message: ArraySlice<UInt8>) throws(MalformedMessage) {
        self.init(key: [], value: [], created: 0, modified: 0)
        try message.forEachField { (field, value) throws(MalformedMessage) in
            switch field {
            case 1: key = [UInt8](try value.bytes())
            case 2: created = try value.number()
            case 3: modified = try value.number()
            case 5: self.value = [UInt8](try value.bytes())
            case 6: lease = try value.number()
            default: break
            }
        }
    }
}

extension LeaseResponse {
    /// LeaseGrantResponse, LeaseKeepAliveResponse and, with a head only, LeaseRevokeResponse.
    init(_ message: ArraySlice<UInt8>) throws(MalformedMessage) {
        try message.forEachField { (field, value) throws(MalformedMessage) in
            switch field {
            case 1: head = try ResponseHead(try value.bytes())
            case 2: lease = try value.number()
            case 3: seconds = try value.number()
            default: break
            }
        }
    }
}

extension StatusResponse {
    init(_ message: ArraySlice<UInt8>) throws(MalformedMessage) {
        try message.forEachField { (field, value) throws(MalformedMessage) in
            switch field {
            case 1: head = try ResponseHead(try value.bytes())
            case 2: version = try value.text()
            case 4: leader = UInt64(bitPattern: try value.number())
            default: break
            }
        }
    }
}

extension WatchResponse {
    init(_ message: ArraySlice<UInt8>) throws(MalformedMessage) {
        try message.forEachField { (field, value) throws(MalformedMessage) in
            switch field {
            case 1: head = try ResponseHead(try value.bytes())
            case 3: created = try value.flag()
            case 4: canceled = try value.flag()
            case 5: compacted = try value.number()
            case 6: reason = try value.text()
            case 7: isFragment = try value.flag()
            case 11: changes.append(try StoreChange(message: try value.bytes()))
            default: break
            }
        }
    }
}

extension StoreChange {
    fileprivate init(message: ArraySlice<UInt8>) throws(MalformedMessage) {
        var isDeletion = false
        var pair = KeyValue(key: [], value: [], created: 0, modified: 0)
        try message.forEachField { (field, value) throws(MalformedMessage) in
            switch field {
            case 1: isDeletion = try value.flag()
            case 2: pair = try KeyValue(message: try value.bytes())
            default: break
            }
        }
        self = isDeletion ? .deleted(key: pair.key, at: pair.modified) : .put(pair)
    }

    /// The revision of the change.
    var revision: Revision {
        switch self {
        case .put(let pair): pair.modified
        case .deleted(_, let revision): revision
        }
    }
}

/// The token of AuthenticateResponse.
func authenticationToken(_ message: ArraySlice<UInt8>) throws(MalformedMessage) -> String {
    var token = ""
    try message.forEachField { (field, value) throws(MalformedMessage) in
        if field == 2 { token = try value.text() }
    }
    return token
}
