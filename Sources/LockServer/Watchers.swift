import LockVocabulary

/// The sessions that watch for changes, and which names each of them watches.
struct Watchers {
    private struct Watcher {
        let session: SessionID
        let account: AccountID
        /// The beginning of the names that it watches.
        var prefix: String
    }

    private var watchers: [Watcher] = []

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
        watchers.append(Watcher(session: session, account: account, prefix: prefix))
        return true
    }

    mutating func remove(_ session: SessionID) { watchers.removeAll { $0.session == session } }

    /// The sessions that watch a name, in the order in which they began.
    func sessions(watching name: LockName) -> [SessionID] {
        watchers.filter { name.text.utf8.starts(with: $0.prefix.utf8) }.map(\.session)
    }
}
