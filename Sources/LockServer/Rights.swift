import LockVocabulary

/// What one session may do and see, as the policy decided it for the session's peer.
struct Rights {
    let userID: UInt32
    /// Whether the peer is root or the daemon's own user.
    let isTrusted: Bool
    /// The policy's lines about the peer, in their order.
    let permissions: [Policy.Permission]

    /// Whether the session may do something with a lock: what the first line that matches says, or the default.
    @inline(__always)
    func allow(_ right: Policy.Right, _ name: LockName) -> Bool {
        if !permissions.isEmpty, let decided = decided(right, name) { return decided }
        return switch right {
        case .read, .write, .look, .watch: true
        case .notes, .revoke: isTrusted
        }
    }

    private func decided(_ right: Policy.Right, _ name: LockName) -> Bool? {
        permissions.first {
            $0.rights.contains(right) && name.text.utf8.starts(with: $0.prefix.utf8)
        }?.allows
    }

    /// Whether the session sees the note of a user's grant or request: its own user's always.
    func showNote(ofUser user: UInt32, _ name: LockName) -> Bool {
        user == userID || allow(.notes, name)
    }

    /// Whether the session sees the name that another client gave itself. A client is about no lock, so that only
    /// a line about the notes of all names decides.
    func showClient(ofUser user: UInt32) -> Bool {
        if user == userID { return true }
        return permissions.first { $0.rights.contains(.notes) && $0.prefix.isEmpty }?.allows ?? isTrusted
    }
}
