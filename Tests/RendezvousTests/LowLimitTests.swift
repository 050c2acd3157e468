import Glibc
import Testing

@testable import Rendezvous

/// Hard limits with which a client does not start a daemon.
@Suite struct LowLimitTests {
    @Test("no limit at all, and each at its least value, permit it")
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

    @Test("any limit of CPU time forbids it, and is told in the words of ulimit")
    func processorTime() {
        let limit = LowLimit.find { $0 == Int32(RLIMIT_CPU.rawValue) ? 1 << 40 : .max }
        #expect(limit?.description == "hard limit of CPU time, 1099511627776 s (`ulimit -H -t`)")
    }
}
