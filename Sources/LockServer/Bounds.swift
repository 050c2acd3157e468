import LockCore
import LockVocabulary
import LockWire

/// What is kept for sessions, and how much of it there may be (G12).
extension Server {
    /// Holds a session to its bounds, and all together to theirs; tells the shell if there is something to do.
    mutating func settle(_ slot: Int) {
        countBuffers(of: slot)
        if conversations[slot].unread > limits.unreadAtMost { cutOff(slot) }
        // Not whoever comes next: the one who keeps most, so that nobody is harmed by what others do not read.
        while buffered > max(limits.buffers, 0), let most = hungriest {
            cutOff(most)
        }
        // A session that is owed nothing needs no visit, but to be read from or no longer.
        let isPaused = isPaused(slot)
        if conversations[slot].unread > 0 || conversations[slot].phase != .open
            || conversations[slot].isTelling || conversations[slot].isKnownAsPaused != isPaused
        {
            conversations[slot].isKnownAsPaused = isPaused
            makeReady(slot)
        }
    }

    /// Counts what a session keeps; one that is cut off is closed at once, and keeps nothing.
    mutating func countBuffers(of slot: Int) {
        let kept = conversations[slot].phase == .cutOff ? 0 : conversations[slot].kept
        let more = kept - conversations[slot].counted
        guard more != 0 else { return }
        buffered += more
        accounts[conversations[slot].account].buffered += more
        conversations[slot].counted = kept
    }

    /// The place of the session that keeps most, of the user whose sessions do.
    private var hungriest: Int? {
        let account = accounts.indices.max { accounts[$0].buffered < accounts[$1].buffered }
        return conversations.indices
            .filter { conversations[$0].account == account && conversations[$0].phase != .vacant }
            .max { conversations[$0].counted < conversations[$1].counted }
    }

    private mutating func cutOff(_ slot: Int) {
        guard conversations[slot].phase != .cutOff else { return }
        note(.limitHit(ErrorCode.limitBuffers.rawValue), nil, slot)
        reply(.error(WireError(.limitBuffers)), nil, slot)
        end(slot, as: .cutOff, table.now)
        makeReady(slot)
    }

    private mutating func makeReady(_ slot: Int) {
        guard !conversations[slot].isReady else { return }
        conversations[slot].isReady = true
        ready.append(conversations[slot].session)
    }
}
