import LockCore
import LockServer
import LockVocabulary
import Testing

/// What users have of the daemon's limits when others have much (G12): nothing is refused to a newcomer.
@Suite("Users share each limit, and a newcomer always has a share") struct ShareTests {
    /// A kind of thing that has a limit, of which a user takes one at a time.
    enum Kind: String, CaseIterable {
        case sessions, grants, waiters
    }

    /// A server, and users who take as much as they can.
    private struct Crowd: ~Copyable {
        static let limit = 400
        var server: Server
        let kind: Kind
        private var sessions: [UInt32: SessionID] = [:]
        private var count = 0

        init(_ kind: Kind, _ rules: String = "") throws {
            var configuration = ServerConfiguration()
            configuration.ownUserID = 500
            configuration.lastToken = Token(rawValue: 1_000_000)
            configuration.policy = try Policy(
                parsing: rules, PolicyNames(user: { _ in nil }, group: { _ in nil }))
            switch kind {
            case .sessions: configuration.limits.rules.sessions = Self.limit
            case .grants: configuration.limits.rules.grants = Self.limit
            case .waiters:
                configuration.limits.rules.waiters = Self.limit
                configuration.limits.rules.sessionWaiters = Self.limit
            }
            server = Server(configuration)
            self.kind = kind
            guard kind == .waiters else { return }
            _ = say(500, "WRITE taken\n")
        }

        /// The session of a user.
        private mutating func session(of user: UInt32) -> SessionID? {
            if let session = sessions[user] { return session }
            sessions[user] = server.open(Peer(processID: 1, userID: user, groupID: 1), at: .zero)
            return sessions[user]
        }

        /// Sends a line; returns what the sender receives.
        mutating func say(_ user: UInt32, _ line: String) -> String {
            guard let session = session(of: user) else { return "no session" }
            Array(line.utf8).withUnsafeBytes { server.receive($0, from: session, at: .zero) }
            while server.hasUnfinishedWork { server.resumeWork(at: .zero) }
            let answer = server.withOutput(of: session) { String(decoding: $0, as: UTF8.self) }
            server.wrote(answer.utf8.count, to: session, at: .zero)
            server.advance(to: .zero)
            return answer
        }

        /// Takes one more for a user; returns whether the user has got it.
        mutating func take(_ user: UInt32) -> Bool {
            count += 1
            switch kind {
            case .sessions:
                return server.open(Peer(processID: 1, userID: user, groupID: 1), at: .zero) != nil
            case .grants:
                let answer = say(user, "READ \(count)\n")
                #expect(answer.hasPrefix("GRANTED") || answer.hasPrefix("ERROR limit-grants"))
                return answer.hasPrefix("GRANTED")
            case .waiters:
                let answer = say(user, "#\(count) READ taken\n")
                #expect(answer.isEmpty || answer.hasPrefix("#\(count) ERROR limit-waiters"))
                return answer.isEmpty
            }
        }

        /// Takes as many as a user can have; returns how many.
        mutating func takeAll(_ user: UInt32) -> Int {
            var taken = 0
            while taken <= Self.limit, take(user) { taken += 1 }
            return taken
        }
    }

    @Test("each greedy user has a quarter of what the others leave", arguments: Kind.allCases, [1, 4, 10])
    func oneByOne(kind: Kind, greedy: Int) throws {
        var crowd = try Crowd(kind)
        var left = Crowd.limit
        for user in 0..<UInt32(greedy) {
            let taken = crowd.takeAll(1_000 + user)
            #expect(taken == (left + 3) / 4)
            left -= taken
        }
        // Room for a newcomer, and for another one after that; and nothing more for those who have a share.
        let newcomer = crowd.takeAll(2_000)
        #expect(newcomer == (left + 3) / 4 && newcomer > 0)
        let next = crowd.take(2_001)
        let last = crowd.take(1_000 + UInt32(greedy) - 1)
        #expect(next && !last)
    }

    @Test(
        "ten users who take together have the same, and leave as much as three of them have",
        arguments: Kind.allCases)
    func together(kind: Kind) throws {
        var crowd = try Crowd(kind)
        var held = [UInt32: Int]()
        var isOver = false
        while !isOver {
            isOver = true
            for user: UInt32 in 1_000..<1_010 where crowd.take(user) {
                held[user, default: 0] += 1
                isOver = false
            }
        }
        let each = Crowd.limit / 13
        #expect(held.count == 10)
        for (user, number) in held { #expect((each...each + 1).contains(number), "\(user)") }
        let newcomer = crowd.takeAll(2_000)
        #expect(newcomer > each / 2)
    }

    @Test(
        "numbers of the rules stay as they are, and root and the daemon's user have no share",
        arguments: Kind.allCases)
    func numbers(kind: Kind) throws {
        var crowd = try Crowd(kind, "limit user=1500 \(kind.rawValue)=150")
        let first = crowd.takeAll(1_000)
        let second = crowd.takeAll(1_001)
        let said = crowd.takeAll(1_500)
        // What a rule or trust gives counts as taken for those who share.
        let third = crowd.takeAll(1_002)
        #expect([first, second, said, third] == [100, 75, 150, 19])
        let root = crowd.takeAll(0)
        #expect(root == 56)
    }

    @Test("when others come a user keeps everything, and may take again when they leave") func keeps() throws
    {
        var crowd = try Crowd(.grants)
        let first = crowd.takeAll(1_000)
        let second = crowd.takeAll(1_001)
        #expect(first == 100 && second == 75)
        let answer = crowd.say(1_000, "RELEASE 1\n")
        #expect(answer.hasPrefix("RELEASED"))
        // It has 99, and may have a quarter of 325, which is 82.
        let isBack = crowd.take(1_000)
        #expect(!isBack)
        let bye = crowd.say(1_001, "QUIT\n")
        #expect(bye == "BYE\n")
        let again = crowd.takeAll(1_000)
        #expect(again == 1)
    }

    @Test("connections, and those among them that have sent nothing, have shares as well") func connections()
    {
        var configuration = ServerConfiguration()
        configuration.ownUserID = 500
        configuration.limits.rules.sessions = 4_000
        configuration.limits.sessionRoom = 2_000
        let server = Server(configuration)
        #expect(server.connectionLimits(of: 1_000, besides: 0) == .init(all: 500, silent: 125))
        #expect(server.connectionLimits(of: 1_000, besides: 1_000) == .init(all: 250, silent: 62))
        #expect(server.connectionLimits(of: 1_000, besides: 1_900) == .init(all: 25, silent: 16))
        #expect(server.connectionLimits(of: 500, besides: 1_999) == .init(all: .max, silent: .max))
    }
}
