import Glibc
package import LockVocabulary
import Posix

/// The file that keeps, over every kind of end, the highest token that the daemon may have given out (G7).
///
/// Writes alternate between two pages. So a crash within a write damages at most one page, and the other still has the record
/// before. A page is a line for people, padded with blanks:
///
///     prwlock tokens: write 7, up to 2097152, in use, check 8d2f4a1c6b03e957
///
/// Invariants:
/// 1. The daemon gives out no token before a page on the disk has `up to` that token or a higher one.
/// 2. No write begins before the one before it is on the disk. So the page before the newest is there, though the process that
///    wrote the newest may have been killed before it was.
/// 3. The newest page has `done` only if the daemon ended in order, while no lock was held. Then `up to` is the last
///    token that it
///    gave out.
package struct TokenFile: Sendable {
    /// The contents of a page.
    package struct Record: Equatable {
        /// Counts the writes; the higher of two pages is the newer.
        package var write: UInt64
        /// The highest token that the daemon may have given out.
        package var upTo: Token
        /// Whether the daemon ended in order.
        package var isDone: Bool
    }

    private static let pageSize = 4_096

    /// The open file. All copies of this value share it.
    private final class OpenFile: Sendable {
        let descriptor: OwnedDescriptor
        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    private let file: OpenFile
    /// The newest page; nil if no page is valid.
    private(set) var newest: Record?
    /// The last page that is certainly on the disk; nil if there is none.
    private(set) var settled: Record?
    /// Whether a damaged page may have been newer.
    let hasLostPage: Bool

    /// Opens the file; makes it if it is missing.
    ///
    /// - Parameter isKnown: whether a worker before this one has opened it. Then its name is on the disk.
    init(
        in directory: borrowing DirectoryDescriptor, named name: String = "tokens", isKnown: Bool = false
    ) throws(SystemError) {
        let file = try directory.open(name, flags: O_RDWR | O_CREAT)
        // The file's contents count only once its name is on the disk.
        if !isKnown { try directory.synchronize() }
        let contents = try FileContents.read(file, "tokens", limit: 2 * Self.pageSize)
        let pages = [contents.prefix(Self.pageSize), contents.dropFirst(Self.pageSize)].filter { !$0.isEmpty }
        let records = pages.compactMap(Record.init(page:))
        self.file = OpenFile(file)
        newest = records.max { $0.write < $1.write }
        settled = records.count == 2 ? records.min { $0.write < $1.write } : nil
        hasLostPage = records.count < pages.count
    }

    /// Whether the file has pages, and none of them is valid: the tokens given out are not known.
    var isDamaged: Bool { hasLostPage && newest == nil }

    /// Writes a page, and waits for the disk.
    mutating func write(upTo: Token, isDone: Bool) throws(SystemError) {
        let record = Record(write: (newest?.write ?? 0) + 1, upTo: upTo, isDone: isDone)
        let page = record.page(of: Self.pageSize)
        // A process that was killed may have written the newest page and not waited.
        if settled != newest { try synchronize() }
        let place = off_t((record.write - 1) % 2) * off_t(Self.pageSize)
        let count = pwrite(file.descriptor.rawValue, page, page.count, place)
        guard count >= 0 else { throw .last("write", "tokens") }
        guard count == page.count else { throw SystemError(code: ENOSPC, call: "write", subject: "tokens") }
        newest = record
        try synchronize()
    }

    private mutating func synchronize() throws(SystemError) {
        guard fdatasync(file.descriptor.rawValue) == 0 else { throw .last("fdatasync", "tokens") }
        settled = newest
    }
}

extension TokenFile.Record {
    /// The record of a page; nil if the page is damaged.
    package init?(page: ArraySlice<UInt8>) {
        let blank = UInt8(ascii: " ")
        let written = page.prefix { $0 != UInt8(ascii: "\n") }
        guard let last = written.lastIndex(where: { $0 != blank }) else { return nil }
        let line = written[...last]
        let words = line.split(separator: blank)
        guard words.count > 7, let write = Self.number(words[3]), let upTo = Self.number(words[6])
        else { return nil }
        self.init(write: write, upTo: Token(rawValue: upTo), isDone: words[7].elementsEqual("done,".utf8))
        // Every record has one spelling, so a page with another one is damaged.
        guard line.elementsEqual(self.line.utf8) else { return nil }
    }

    /// The number before a comma.
    private static func number(_ word: ArraySlice<UInt8>) -> UInt64? {
        UInt64(String(decoding: word.dropLast(), as: UTF8.self))
    }

    package func page(of size: Int) -> [UInt8] {
        let line = Array(line.utf8)
        return line + Array(repeating: UInt8(ascii: " "), count: size - line.count - 1) + [UInt8(ascii: "\n")]
    }

    private var line: String { "\(text), check \(check)" }

    private var text: String {
        "prwlock tokens: write \(write), up to \(upTo.rawValue), \(isDone ? "done" : "in use")"
    }

    /// The line's FNV-1a hash, 64 bits: it detects damage by a disk or a crash, and does not stop people.
    private var check: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
