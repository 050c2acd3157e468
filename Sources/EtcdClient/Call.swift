#if Etcd
    import LockClaims
    import LockVocabulary

    /// One call of gRPC: a stream of HTTP/2 from its first byte to its trailers.
    struct Call {
        enum Purpose {
            case authenticate
            case status
            /// Any request with one answer.
            case request(Sent)
            /// The read that proves that a lease was kept alive by the leader, and not by a former one.
            case proof(KeepAlive)
            /// The stream of all keep-alives.
            case keepAlives
            case watch
        }

        let purpose: Purpose
        var messages = MessageStream()
        /// The messages of a call that has one answer.
        var answer: ArraySlice<UInt8>?
        var httpStatus = ""
        var grpcStatus: Int?
        var words = ""

        init(_ purpose: Purpose) { self.purpose = purpose }
    }

    /// A request with the time at which it was sent.
    struct Sent {
        let id: StoreRequestID
        let request: StoreRequest
        var sentAt: Instant
        /// It was sent again because the token had ended. A second time it is refused.
        var hasNewToken = false
    }

    /// A keep-alive under way.
    struct KeepAlive {
        let id: StoreRequestID
        let lease: LeaseID
        var sentAt: Instant
        /// The term that the member was known to be in when it was sent.
        var term: UInt64
        /// What the answer said.
        var seconds: Int64 = 0
    }
#endif
