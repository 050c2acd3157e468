import LockModel
import LockServer
import Seeded

/// A random rule file: its text, and what it means by the plainest reading of `protocol.md`.
struct RuleFile {
    /// All users: the daemon's own and two others.
    static let users: [UInt32] = [500, 1_000, 1_001]
    private static let rights = ["read", "write", "look", "notes", "watch", "revoke"]
    private static let prefixes = ["*", "*", "a", "b", "c/", "c/1"]
    private static let kinds = ["sessions", "grants", "waiters", "watchers", "requests"]

    private struct Permission {
        let allows: Bool
        let user: UInt32?
        let rights: [String]
        let prefix: String
    }

    private struct Limit {
        let user: UInt32?
        let kind: String
        let number: Int
    }

    private(set) var text = ""
    private var permissions: [Permission] = []
    private var limits: [Limit] = []
    /// Pairs of prefixes, of which none begins another: locks with the first come before locks with the second.
    private var orders: [(first: String, second: String, refuses: Bool)] = []

    /// A file that gives each user as much as the daemon has, so that clients reach the daemon's own limits.
    ///
    /// - Parameter hostile: a user that may do everything with the locks with a prefix.
    init(hostile: (user: UInt32, prefix: String, sessions: Int)? = nil) {
        indulge(hostile)
        for kind in Self.kinds.dropLast() { limit(nil, kind, 1_000) }
    }

    init(
        hostile: (user: UInt32, prefix: String, sessions: Int)? = nil, _ generator: inout SeededGenerator
    ) {
        indulge(hostile)
        func user(_ generator: inout SeededGenerator) -> UInt32? {
            generator.happens(40) ? nil : generator.pick(Self.users)
        }
        for _ in 0..<generator.number(0...3) {
            let rights = Self.rights.filter { _ in generator.happens(30) }
            guard !rights.isEmpty else { continue }
            permit(
                Permission(
                    allows: generator.happens(40), user: user(&generator), rights: rights,
                    prefix: generator.pick(Self.prefixes)))
        }
        for _ in 0..<generator.number(0...2) {
            let kind = generator.pick(Self.kinds)
            let number = kind == "requests" ? generator.number(20...400) : generator.number(0...5)
            limit(user(&generator), kind, number)
        }
        // Few clients watch, so this limit must be very low.
        if generator.happens(50) { limit(user(&generator), "watchers", generator.number(0...1)) }
        if generator.happens(30) {
            let chain = ["a", "b", "c/"].shuffled(using: &generator).prefix(generator.number(2...3))
            let refuses = generator.happens(50)
            text += "order \(chain.joined(separator: " < ")) \(refuses ? "refuse" : "warn")   # locks\n"
            for (place, second) in chain.enumerated() {
                orders += chain.prefix(place).map { ($0, second, refuses) }
            }
        }
        if generator.happens(60) { for kind in Self.kinds.dropLast() { limit(nil, kind, 1_000) } }
    }

    private mutating func indulge(_ hostile: (user: UInt32, prefix: String, sessions: Int)?) {
        guard let hostile else { return }
        permit(
            Permission(
                allows: true, user: hostile.user, rights: ["read", "write", "look", "watch"],
                prefix: hostile.prefix))
        let numbers = [hostile.sessions, 1_000, 1_000, 64, 1_000_000]
        for (kind, number) in zip(Self.kinds, numbers) { limit(hostile.user, kind, number) }
    }

    private mutating func permit(_ permission: Permission) {
        permissions.append(permission)
        let who = permission.user.map { "user=\($0)" } ?? "everyone"
        let rights = permission.rights.joined(separator: ",")
        text += "\(permission.allows ? "allow" : "deny") \(who)\t\(rights) \(permission.prefix)\n"
    }

    private mutating func limit(_ user: UInt32?, _ kind: String, _ number: Int) {
        limits.append(Limit(user: user, kind: kind, number: number))
        text += "limit \(user.map { "user=\($0)" } ?? "everyone") \(kind)=\(number)\n"
    }

    /// The file as the server reads it.
    var policy: Policy? {
        try? Policy(parsing: text, PolicyNames(user: { _ in nil }, group: { _ in nil }))
    }

    // MARK: - What it means

    func may(_ right: String, _ lock: String, _ user: UInt32) -> Bool {
        let line = permissions.first {
            ($0.user ?? user) == user && $0.rights.contains(right)
                && ($0.prefix == "*" || lock.hasPrefix($0.prefix))
        }
        return line?.allows ?? (right == "notes" || right == "revoke" ? user == 500 : true)
    }

    /// Whether a user may see other users' notes on at least one lock.
    func maySeeSomeNotes(_ user: UInt32) -> Bool {
        (Composer.locks + [Attack.lock]).contains { may("notes", $0, user) }
    }

    /// What a user may have of a kind of thing.
    func share(_ kind: String, _ user: UInt32) -> Model.Share {
        let said = limits.first { ($0.user ?? user) == user && $0.kind == kind }?.number
        if let said { return .upTo(said) }
        if user == 500 { return .upTo(.max) }
        return kind == "watchers" ? .upTo(64) : .quarterOfRest
    }

    /// Whether a rate limits the user's lines.
    func hasRate(_ user: UInt32) -> Bool {
        limits.contains { ($0.user ?? user) == user && $0.kind == "requests" }
    }

    /// Whether the order of locks refuses a lock to an owner that holds these locks.
    func refuses(_ lock: String, holding held: [String]) -> Bool {
        guard !held.contains(lock) else { return false }
        return orders.contains { first, second, refuses in
            refuses && lock.hasPrefix(first) && held.contains { $0.hasPrefix(second) }
        }
    }
}
