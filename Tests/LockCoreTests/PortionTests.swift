import LockCore
import Seeded
import Testing

/// How users share one limit (G12): by README.md of `LockServer`, "Shares".
@Suite struct PortionTests {
    /// Users with a number each, who share a limit.
    private struct Users {
        let limit: Int
        private(set) var held: [Int]
        private(set) var left: Int

        init(_ count: Int, sharing limit: Int) {
            self.limit = limit
            left = limit
            held = Array(repeating: 0, count: count)
        }

        /// Gives a user one more; returns false if its share does not allow that.
        mutating func take(_ user: Int) -> Bool {
            let own = held[user]
            guard own < Portion.quarterOfRest.most(besides: limit - left - own, of: limit) else {
                return false
            }
            held[user] += 1
            left -= 1
            return true
        }

        mutating func give(_ user: Int, back number: Int) {
            held[user] -= number
            left += number
        }
    }

    @Test("a user who is alone may have a quarter, rounded up, and a number stays a number")
    func alone() {
        for (limit, most) in [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2), (4_000_000, 1_000_000)] {
            #expect(Portion.quarterOfRest.most(besides: 0, of: limit) == most)
        }
        #expect(Portion.quarterOfRest.most(besides: 9, of: 8) == 0)
        #expect(Portion.quarterOfRest.most(besides: 0, of: .max) > 1 << 60)
        #expect(Portion.upTo(7).most(besides: 100, of: 8) == 7)
    }

    @Test("of users who come one after the other each leaves three quarters of what there was")
    func oneByOne() {
        var users = Users(40, sharing: 4_000_000)
        for user in 0..<40 {
            let before = users.left
            while users.take(user) {}
            #expect(users.held[user] == (before + 3) / 4)
            // The README states this for 4, 10 and 20 users.
            switch user + 1 {
            case 4: #expect(users.left == 1_265_625)
            case 10: #expect((225_000...226_000).contains(users.left))
            case 20: #expect((12_600...12_700).contains(users.left))
            default: break
            }
        }
        #expect(users.left > 0)
    }

    @Test("users who take together have the same in the end", arguments: [1, 2, 4, 10, 100])
    func together(count: Int) {
        var users = Users(count, sharing: 100_000)
        while true {
            var taken = 0
            for user in 0..<count where users.take(user) { taken += 1 }
            if taken == 0 { break }
        }
        let each = 100_000 / (count + 3)
        #expect(users.held.allSatisfy { (each...each + 1).contains($0) })
    }

    @Test(
        "whatever users take and give back, what is left shrinks by a quarter for each of them at most",
        arguments: SeededGenerator.seeds)
    func anyOrder(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for count in 1...8 {
            let limit = generator.number(1...2_000)
            var users = Users(count, sharing: limit)
            var least = Double(limit)
            for _ in 0..<count { least = least * 3 / 4 - 1 }
            for _ in 0..<100 {
                let user = generator.number(0...count - 1)
                if generator.happens(30) {
                    users.give(user, back: generator.number(0...users.held[user]))
                } else {
                    for _ in 0..<generator.number(1...limit) where !users.take(user) { break }
                }
                #expect(Double(users.left) >= max(0, least))
            }
        }
    }

    @Test("one user never keeps two others from one each") func twoOthers() {
        for limit in 3...100 {
            var users = Users(3, sharing: limit)
            while users.take(0) {}
            let (one, other) = (users.take(1), users.take(2))
            #expect(one && other, "of \(limit)")
        }
    }
}
