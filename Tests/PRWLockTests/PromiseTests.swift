import Posix
import Testing

@testable import PRWLock

@Suite struct PromiseTests {
    @Test("a forgotten body is not called, and the others are") func forget() {
        let (promise, sum) = (Promise<Int>(), Guarded(0))
        let forgotten = promise.whenFulfilled { value in sum.withLock { $0 += 100 * value } }
        promise.whenFulfilled { value in sum.withLock { $0 += value } }
        promise.forget(forgotten)
        promise.fulfil(3)
        promise.fulfil(4)
        #expect(sum.withLock { $0 } == 3)
        #expect(promise.valueNow == 3)
    }
}
