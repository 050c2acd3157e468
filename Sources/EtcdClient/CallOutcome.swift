import LockClaims
import LockVocabulary

/// How a call has ended: gRPC's status with the server's words.
struct CallStatus: Equatable {
    var code: Int
    var words: String

    static let ok = CallStatus(code: 0, words: "")
}

/// What a call that failed means. What is certain not to be carried out is told apart from all else.
enum CallFailure: Equatable {
    /// Refused, for ever.
    case refused(StoreRefusal)
    /// The token of the user has ended: not carried out, and to be sent again with a new one.
    case tokenEnded
    /// This member cannot serve now, and has not begun: to be sent again to another one.
    case memberCannot(String)
    /// It may have been carried out.
    case unknown(String)

    init(_ status: CallStatus) {
        let words = Harmless.show(String(status.words.prefix(300)))
        switch status.code {
        case 16: self = .tokenEnded
        case 3 where words.contains("revision of auth store is old"): self = .tokenEnded
        case 3 where words.contains("user name is empty"):
            self = .refused(
                .notPermitted("etcd asks for a user and a password, and none are configured (\(words))"))
        case 3 where words.contains("authentication failed"): self = .refused(.notPermitted(words))
        case 7: self = .refused(.notPermitted(words))
        case 5 where words.contains("lease not found"): self = .refused(.leaseNotFound)
        case 8 where words.contains("database space exceeded"): self = .refused(.full)
        // A member asks whether there is a leader before it begins. `request timed out` has the same code, and says
        // nothing.
        case 14 where words.contains("etcdserver: no leader"), 14 where words.contains("for learner"):
            self = .memberCannot(words)
        // An argument, a state or a number that etcd refuses before it carries out anything.
        case 3, 5, 6, 8, 9, 11, 12: self = .refused(.other(words))
        default: self = .unknown(words.isEmpty ? "gRPC status \(status.code)" : words)
        }
    }
}

/// `grpc-message` has bytes as `%41`.
func percentDecoded(_ text: String) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        let digits = rest.prefix(2)
        if byte == UInt8(ascii: "%"), digits.count == 2, let value = UInt8(Substring(digits), radix: 16) {
            bytes.append(value)
            rest = rest.dropFirst(2)
        } else {
            bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
