import Glibc
import Testing

@testable import Rendezvous

/// Hard limits with which a client does not start a daemon.
@Suite struct LowLimitTests {
    @Test("no limits, and each limit at its least value, permit a start")
    func high() {
        #expect(LowLimit.find { _ in .max } == nil)
        let least: [Int32: UInt64] = [
            Int32(RLIMIT_NOFILE.rawValue): 256, Int32(RLIMIT_AS.rawValue): 512 << 20,
            Int32(RLIMIT_DATA.rawValue): 256 << 20, Int32(RLIMIT_STACK.rawValue): 256 << 10,
            Int32(RLIMIT_FSIZE.rawValue): 1 << 20,
        ]
        #expect(LowLimit.find { least[$0] ?? .max } == nil)
        for (resource, value) in least {
            #expect(LowLimit.find { $0 == resource ? value - 1 : .max } != nil)
        }
    }

    @Test("any limit on CPU time forbids a start, and the message names ulimit's option")
    func processorTime() {
        let limit = LowLimit.find { $0 == Int32(RLIMIT_CPU.rawValue) ? 1 << 40 : .max }
        #expect(limit?.description == "hard limit of CPU time, 1099511627776 s (`ulimit -H -t`)")
    }
}
