import CSlot
import Glibc
import Posix

/// The memory through which a client sees its cached grants: the slots, and the page that says whether a daemon serves.
///
/// It has one place for the life of the client, so that its user needs no lock and no reference of its own while it looks at
/// a slot. A new session is mapped over the former one. Between two sessions all words are zero there, which is no
/// generation, and no process serves.
///
/// A forked child does not have the memory. It finds zero in the first page, and then uses nothing of the others.
///
/// `@unchecked Sendable` is safe because the address never changes, and all words are read and written in one step.
final class SlotMemory: @unchecked Sendable {
    /// A memory without slots, for a client that caches nothing.
    static let none = SlotMemory(pages: emptyPages)

    let pages: UnsafeMutableRawPointer
    private let isMapped: Bool
    /// The number of the session that has the memory now, and of the newest one.
    private let sessions = Guarded((current: 0, last: 0))

    private static let pageSize = Int(PRWLOCK_CACHED_PAGE)
    /// Never freed.
    private nonisolated(unsafe) static let emptyPages: UnsafeMutableRawPointer = {
        let pages = UnsafeMutableRawPointer.allocate(byteCount: 3 * pageSize, alignment: pageSize)
        pages.initializeMemory(as: UInt8.self, repeating: 0, count: 3 * pageSize)
        return pages
    }()

    private init(pages: UnsafeMutableRawPointer) { (self.pages, isMapped) = (pages, false) }

    /// Reserves the memory; nil if the kernel refuses it.
    init?() {
        let size = 3 * Self.pageSize
        guard let pages = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            pages != MAP_FAILED
        else { return nil }
        guard madvise(pages, Self.pageSize, MADV_WIPEONFORK) == 0 else {
            munmap(pages, size)
            return nil
        }
        pages.storeBytes(of: 1, as: UInt32.self)
        (self.pages, isMapped) = (pages, true)
    }

    deinit {
        // In a forked child, other memory may stand where the slots are in its parent.
        if isMapped { munmap(pages, isUsable ? 3 * Self.pageSize : Self.pageSize) }
    }

    /// Whether this process can have slots.
    var isUsable: Bool { prwlock_pages_are_ours(pages) }

    /// Maps the files of a new session; returns its number, or nil if there is nothing to use.
    func map(_ files: SlotFiles) -> Int? {
        sessions.withLock { sessions in
            guard isUsable, files.areLongEnough,
                Self.map(files.slots, PROT_READ | PROT_WRITE, at: pages + Self.pageSize),
                Self.map(files.serving, PROT_READ, at: pages + 2 * Self.pageSize)
            else {
                clear()
                return nil
            }
            sessions.last += 1
            sessions.current = sessions.last
            return sessions.current
        }
    }

    /// Forgets a session that has ended, unless another one has the memory by now.
    func clear(_ session: Int) {
        sessions.withLock { sessions in
            guard sessions.current == session, isUsable else { return }
            sessions.current = 0
            clear()
        }
    }

    /// Lets no more grants of a session be entered or left: each acquire and release asks the daemon. Slots still say what is
    /// held.
    func stopUsing(_ session: Int) {
        sessions.withLock { sessions in
            guard sessions.current == session, isUsable else { return }
            // No process serves on a page of zeros.
            clear(from: 2)
        }
    }

    /// Puts zeros in place of the session. The kernel does it in one step for every thread that looks.
    private func clear() {
        guard isMapped, isUsable else { return }
        clear(from: 1)
    }

    private func clear(from page: Int) {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
        let size = (3 - page) * Self.pageSize
        mmap(pages + page * Self.pageSize, size, PROT_READ | PROT_WRITE, flags, -1, 0)
    }

    private static func map(_ file: Int32, _ access: Int32, at place: UnsafeMutableRawPointer) -> Bool {
        mmap(place, pageSize, access, MAP_SHARED | MAP_FIXED, file, 0) == place
            && madvise(place, pageSize, MADV_DONTFORK) == 0
    }
}

/// The two files that the daemon hands over for cached grants.
final class SlotFiles: Sendable {
    let slots: Int32
    let serving: Int32

    /// Takes over two open descriptors.
    init(slots: Int32, serving: Int32) { (self.slots, self.serving) = (slots, serving) }

    deinit {
        close(slots)
        close(serving)
    }

    /// Whether no access to their first pages can fail. The daemon has sealed their sizes.
    var areLongEnough: Bool {
        [slots, serving].allSatisfy { file in
            var status = stat()
            return fstat(file, &status) == 0 && status.st_size >= Int(PRWLOCK_CACHED_PAGE)
        }
    }
}
