import LockVocabulary
import Posix

/// The files that keep the tokens: one in the state folder, and for a user's own daemon a second beside the socket.
///
/// The state folder outlives a reboot and a cleaner of `/tmp`. The folder of the socket is writable even if the home is not.
///
/// Invariants:
/// 1. At least one file has the last record on the disk.
/// 2. Reading takes the worse of both: the higher token, and an unclean end if one file has `in use`. A missing file does not
///    count.
struct TokenPages: Sendable {
    private var main: TokenFile?
    private var second: TokenFile?

    /// The number of files.
    let count: Int
    /// The highest token that a daemon before may have given out, by the valid pages.
    let last: UInt64
    /// The highest token of the pages that are certainly on the disk; nil if there are none.
    let settled: UInt64?
    /// Whether a damaged page may have been newer.
    let hasLostPage: Bool
    /// Whether the daemon before this one may have ended while a lock was held.
    let followsUncleanEnd: Bool

    init(main: TokenFile?, second: TokenFile? = nil) {
        let both = [main, second].compactMap(\.self).map(Contents.init)
        count = both.count
        last = both.map(\.last).max() ?? 0
        settled = [main, second].compactMap { $0?.settled?.upTo.rawValue }.max()
        hasLostPage = both.contains(where: \.hasLostPage)
        followsUncleanEnd = both.contains(where: \.isUnclean)
        self.main = main
        self.second = second
    }

    /// The contents of one file.
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

    /// Writes a page to each file, and waits for the disk.
    ///
    /// - Throws: the reason, if neither file takes it.
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

    /// Replaces the second file by another, and writes the last record there.
    mutating func moveSecond(to file: TokenFile, upTo: Token) throws(SystemError) {
        var file = file
        try file.write(upTo: upTo, isDone: false)
        second = file
    }
}
