import LockVocabulary

/// The sessions that watch for changes, and which names each of them watches.
struct Watchers {
    private struct Watcher {
        let session: SessionID
        let account: AccountID
        /// Rises in the order in which they began.
        let position: UInt64
        /// The beginning of the names that it watches.
        var prefix: String
    }

    private var watchers: [Watcher] = []
    private var nextPosition: UInt64 = 0

    var count: Int { watchers.count }

    var isEmpty: Bool { watchers.isEmpty }

    /// Has a session watch the names with a prefix, instead of those that it watched before.
    ///
    /// - Parameter most: how many sessions of the account may watch.
    /// - Returns: false if that many watch already.
    mutating func watch(
        _ prefix: String, by session: SessionID, of account: AccountID, atMost most: Int
    ) -> Bool {
        if let index = watchers.firstIndex(where: { $0.session == session }) {
            watchers[index].prefix = prefix
            return true
        }
        guard watchers.count(where: { $0.account == account }) < most else { return false }
        watchers.append(
            Watcher(session: session, account: account, position: nextPosition, prefix: prefix))
        nextPosition += 1
        return true
    }

    mutating func remove(_ session: SessionID) { watchers.removeAll { $0.session == session } }

    /// What a session watches, and its position in the order of watchers; nil if it does not watch.
    func watch(of session: SessionID) -> (position: UInt64, prefix: String)? {
        watchers.first { $0.session == session }.map { ($0.position, $0.prefix) }
    }

    /// Has a session watch again, in its former position.
    mutating func restore(_ session: SessionID, of account: AccountID, prefix: String, position: UInt64) {
        watchers.append(Watcher(session: session, account: account, position: position, prefix: prefix))
        watchers.sort { $0.position < $1.position }
        nextPosition = max(nextPosition, position + 1)
    }

    /// The sessions that watch a name, in the order in which they began.
    func sessions(watching name: LockName) -> [SessionID] {
        watchers.filter { name.text.utf8.starts(with: $0.prefix.utf8) }.map(\.session)
    }
}
