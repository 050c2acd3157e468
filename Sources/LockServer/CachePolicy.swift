import LockVocabulary

/// When a grant is cached: when its owner gets the lock for the second time in a row in the same mode, and no other owner's
/// request came between that conflicts. So a lock that goes to and fro is never cached, and costs nothing more.
///
/// It remembers names and owners by hashes, in tables of fixed size, and begins with empty tables: what is forgotten or mixed
/// up costs speed and never correctness. Until a session asks for slots it remembers nothing.
struct CachePolicy {
    /// What other owners did with a name.
    private struct Name {
        var hash: UInt64 = 0
        /// The owner of the last request that excludes all others, and when it came.
        var exclusive = (owner: UInt64(0), at: UInt64(0))
        /// The same for a read.
        var shared = (owner: UInt64(0), at: UInt64(0))
    }

    /// When an owner last got a name in a mode.
    private struct Own {
        var hash: UInt64 = 0
        var at: UInt64 = 0
    }

    private static let nameCount = 4_096
    private static let ownSetBits = 13

    private var names: [Name] = []
    private var owns: [Own] = []
    /// Rises with each request that is noted.
    private var clock: UInt64 = 0

    /// Whether a session has asked for slots, so that requests are noted.
    var isOn: Bool { !names.isEmpty }

    mutating func begin() {
        guard names.isEmpty else { return }
        names = Array(repeating: Name(), count: Self.nameCount)
        owns = Array(repeating: Own(), count: 2 << Self.ownSetBits)
    }

    /// Notes a request that was carried out.
    ///
    /// - Parameter isGranted: whether it was granted at once.
    /// - Returns: whether its grant should be cached.
    mutating func note(
        _ name: LockName, _ mode: LockMode, by session: SessionID, _ owner: OwnerID, isGranted: Bool
    ) -> Bool {
        guard isOn else { return false }
        clock += 1
        let hash = name.withBytes { Self.hash($0, from: Self.basis) }
        var key = (Self.basis ^ UInt64(session.slot) << 32 ^ UInt64(session.serial)) &* Self.prime
        if !owner.isSession {
            var text = owner.text
            key = text.withUTF8 { Self.hash(UnsafeRawBufferPointer($0), from: key) }
        }
        let place = Int(truncatingIfNeeded: hash % UInt64(Self.nameCount))
        var entry = names[place]
        if entry.hash != hash { entry = Name(hash: hash) }
        defer { names[place] = entry }
        let isRead = mode == .read
        guard isGranted else {
            if isRead { entry.shared = (key, clock) } else { entry.exclusive = (key, clock) }
            return false
        }
        let own = (key ^ hash &* 31) &+ (isRead ? 1 : 2)
        let slot = ownPlace(own)
        let former = owns[slot].hash == own ? owns[slot].at : 0
        owns[slot] = Own(hash: own, at: clock)
        var disturbed = entry.exclusive.owner == key ? 0 : entry.exclusive.at
        if !isRead, entry.shared.owner != key { disturbed = max(disturbed, entry.shared.at) }
        if isRead { entry.shared = (key, clock) } else { entry.exclusive = (key, clock) }
        return former > disturbed
    }

    /// The place of an owner in the table: one of two. If other owners have both, it is the older one. So two owners with
    /// the same places do not drive each other out when they take turns.
    private func ownPlace(_ own: UInt64) -> Int {
        // The lower bits of FNV-1a depend on the lower bits of each number only; a product's upper bits depend on all.
        let first = 2 * Int((own &* 0x9E37_79B9_7F4A_7C15) >> (64 - Self.ownSetBits))
        if owns[first].hash == own { return first }
        return owns[first + 1].hash == own || owns[first].at > owns[first + 1].at ? first + 1 : first
    }

    /// FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/
    private static func hash(_ bytes: UnsafeRawBufferPointer, from start: UInt64) -> UInt64 {
        bytes.reduce(start) { ($0 ^ UInt64($1)) &* prime }
    }

    private static let basis: UInt64 = 0xCBF2_9CE4_8422_2325
    private static let prime: UInt64 = 0x100_0000_01B3
}
