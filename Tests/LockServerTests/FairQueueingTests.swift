import LockCore
import LockVocabulary
import Testing

@testable import LockServer

@Suite("Accounts are served fairly, and pay for what they cost") final class FairQueueingTests {
    private var accounts = Accounts(ServerConfiguration.Turns())
    private var now = Instant.zero

    private func session(_ number: UInt32) -> SessionID { SessionID(slot: number, serial: number) }

    private func enter(_ user: UInt32, atMost most: Int = 9) -> AccountID? {
        accounts.enter(user, within: .upTo(most), having: 9, of: 9, at: now)
    }

    private func charge(_ lines: Int, to account: AccountID, rate: Int? = nil) {
        accounts.charge(Cost(lines: lines, work: lines), to: Payer(account: account, rate: rate), at: now)
    }

    private func queue(_ numbers: UInt32..., of account: AccountID) {
        for number in numbers { accounts.queue(session(number), of: account) }
    }

    /// Serves one round; returns the numbers of the sessions that went on, in their order.
    private func round(rate: Int? = nil, _ body: (SessionID) -> Void = { _ in }) -> [UInt32] {
        var served: [UInt32] = []
        accounts.beginTurns()
        while let next = accounts.next(at: now, rate: { _ in rate }) {
            served.append(next.slot)
            body(next)
        }
        return served
    }

    @Test("a user has as many sessions as allowed, and one more after one has left") func sessions() throws {
        let first = try #require(enter(7, atMost: 1))
        #expect(enter(7, atMost: 1) == nil)
        #expect(enter(8, atMost: 1) != nil)
        accounts.leave(first, at: now)
        #expect(enter(7, atMost: 1) != nil)
    }

    @Test("the place of an account without sessions is used again, but not while the user has a debt")
    func places() throws {
        let first = try #require(enter(1))
        charge(1, to: first, rate: 1)
        accounts.leave(first, at: now)
        #expect(enter(2) != first)
        now = now.advanced(by: .seconds(1))
        #expect(enter(3) == first)
    }

    @Test("accounts take turns with a quota each, and sessions without a turn come first in the next round")
    func turns() throws {
        let (one, other) = (try #require(enter(1)), try #require(enter(2)))
        queue(1, 2, 3, of: one)
        queue(9, of: other)
        let served = round { charge(16, to: $0.slot < 9 ? one : other) }
        #expect(served == [1, 2, 9])
        #expect(accounts.isQueued(session(3)) == true)
        queue(1, of: one)
        #expect(round() == [3, 1])
        #expect(accounts.haveWork == false)
    }

    @Test("work beyond a quota is made up for by as much work of others, or by as many rounds")
    func beyondQuota() throws {
        let (one, other) = (try #require(enter(1)), try #require(enter(2)))
        charge(32 + 320, to: one)
        queue(1, of: one)
        // Each round counts as one unit, and the other account does 31 in it.
        for _ in 1..<10 {
            queue(9, of: other)
            let served = round { _ in charge(31, to: other) }
            #expect(served == [9])
        }
        // 32 are left; the last of these rounds serves it.
        for _ in 1..<32 { #expect(round() == []) }
        #expect(round() == [1])
    }

    @Test("who leaves and comes again still has to make up for work")
    func beyondQuotaAndAway() throws {
        let one = try #require(enter(1))
        _ = try #require(enter(2))
        charge(32 + 4, to: one)
        accounts.leave(one, at: now)
        #expect(enter(1) == one)
        queue(1, of: one)
        for _ in 1..<4 { #expect(round() == []) }
        #expect(round() == [1])
    }

    @Test("an account alone may do much in a round, but not without end; a session is queued once")
    func alone() throws {
        let account = try #require(enter(1))
        queue(1, 2, 1, 3, of: account)
        let served = round {
            charge(3_000, to: account)
            accounts.queue($0, of: account)
        }
        #expect(served == [1, 2])
        #expect(round() == [3, 1, 2])
        #expect(accounts.haveWork == false)
    }

    @Test("an account owes nothing for what it did while it was alone") func noDebtAlone() throws {
        let account = try #require(enter(1))
        for _ in 0..<100 { charge(3_000, to: account) }
        #expect(enter(2) != nil)
        accounts.beginTurns()
        #expect(accounts.quota(of: Payer(account: account, rate: nil), at: now) == 32)
    }

    @Test("an account with a debt goes on when enough is paid, or when debts are forgiven")
    func throttled() throws {
        let account = try #require(enter(1))
        #expect(accounts.quota(of: Payer(account: account, rate: 100), at: now) == 10)
        charge(10, to: account, rate: 100)
        #expect(accounts.quota(of: Payer(account: account, rate: 100), at: now) == 0)
        queue(1, of: account)
        #expect(round(rate: 100).isEmpty && accounts.haveWork == false)
        #expect(accounts.nextThrottleEnd == now.advanced(by: .milliseconds(10)))
        accounts.forgiveDebts()
        #expect(round(rate: 100) == [1])

        charge(10, to: account, rate: 100)
        queue(1, of: account)
        #expect(round(rate: 100).isEmpty)
        now = now.advanced(by: .milliseconds(10))
        accounts.beginRound(at: now)
        #expect(round(rate: 100) == [1])
    }
}
