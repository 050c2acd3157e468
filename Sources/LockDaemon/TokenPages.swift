import LockVocabulary
import Posix

/// The files that remember the tokens: one in the state folder, and for a user's own daemon a second beside the socket.
///
/// Each has what the other may lack: the state folder outlives a reboot and a cleaner of `/tmp`, and the place of the
/// socket can be written where a home cannot.
///
/// Invariants:
/// 1. What was written is in at least one of them, on the disk.
/// 2. What is read is the worst that either says: the highest token, and an unclean end if one of them was in use. A file
///    that is missing says nothing.
struct TokenPages: Sendable {
    private var main: TokenFile?
    private var second: TokenFile?

    /// In how many files the tokens are remembered.
    let count: Int
    /// The last token that may have been given out before, as far as the pages could be read.
    let last: UInt64
    /// Whether a page that may have been newer could not be understood.
    let hasLostPage: Bool
    /// Whether the daemon before may have ended while a lock was held.
    let followsUncleanEnd: Bool

    init(main: TokenFile?, second: TokenFile? = nil) {
        let both = [main, second].compactMap(\.self).map(Contents.init)
        count = both.count
        last = both.map(\.last).max() ?? 0
        hasLostPage = both.contains(where: \.hasLostPage)
        followsUncleanEnd = both.contains(where: \.isUnclean)
        self.main = main
        self.second = second
    }

    /// What a file says.
    private struct Contents {
        let last: UInt64
        let hasLostPage: Bool
        let isUnclean: Bool

        init(_ file: TokenFile) {
            last = file.newest?.upTo.rawValue ?? 0
            hasLostPage = file.hasLostPage
            isUnclean = file.isDamaged || file.newest.map { !$0.isDone } ?? false
        }
    }

    /// Writes a page in each file, and waits until it is on the disk.
    ///
    /// - Throws: why none of them took it.
    mutating func write(upTo: Token, isDone: Bool) throws(SystemError) {
        var fault: SystemError?
        var written = 0
        do throws(SystemError) {
            if try second?.write(upTo: upTo, isDone: isDone) != nil { written += 1 }
        } catch { fault = error }
        do throws(SystemError) {
            if try main?.write(upTo: upTo, isDone: isDone) != nil { written += 1 }
        } catch { fault = error }
        if written == 0, let fault { throw fault }
    }

    /// Writes the second file elsewhere from now on, with what was written last.
    mutating func moveSecond(to file: TokenFile, upTo: Token) throws(SystemError) {
        var file = file
        try file.write(upTo: upTo, isDone: false)
        second = file
    }
}
