import LockClaims
import Testing

@testable import EtcdClient

@Suite("What is certain is told apart from what is unknown")
struct CallFailureTests {
    static let cases: [(Int, String, CallFailure)] = [
        (5, "etcdserver: requested lease not found", .refused(.leaseNotFound)),
        (7, "etcdserver: permission denied", .refused(.notPermitted("etcdserver: permission denied"))),
        (8, "etcdserver: mvcc: database space exceeded", .refused(.full)),
        (8, "etcdserver: too many requests", .refused(.other("etcdserver: too many requests"))),
        (3, "etcdserver: key is not provided", .refused(.other("etcdserver: key is not provided"))),
        (
            3, "etcdserver: authentication failed, invalid user ID or password",
            .refused(.notPermitted("etcdserver: authentication failed, invalid user ID or password"))
        ),
        (16, "etcdserver: invalid auth token", .tokenEnded),
        (3, "etcdserver: revision of auth store is old", .tokenEnded),
        (14, "etcdserver: no leader", .memberCannot("etcdserver: no leader")),
        (14, "etcdserver: request timed out", .unknown("etcdserver: request timed out")),
        (14, "etcdserver: leader changed", .unknown("etcdserver: leader changed")),
        (4, "context deadline exceeded", .unknown("context deadline exceeded")),
        (2, "", .unknown("gRPC status 2")),
        (99, "", .unknown("gRPC status 99")),
    ]

    @Test("a status of gRPC", arguments: cases)
    func status(code: Int, words: String, expected: CallFailure) {
        #expect(CallFailure(CallStatus(code: code, words: words)) == expected)
    }

    @Test("bytes in a status may be escaped")
    func escapes() {
        #expect(percentDecoded("a%20b%C3%A4") == "a bä")
        #expect(percentDecoded("100%") == "100%")
        #expect(percentDecoded("%zz%4") == "%zz%4")
    }
}
