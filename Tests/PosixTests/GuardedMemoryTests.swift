import CLinux
import Glibc
import Testing

/// Accesses to memory that another process has freed, where the kernel has no page for it. A file that is made shorter has the
/// same effect.
@Suite struct GuardedMemoryTests {
    /// A mapped page of a file.
    private struct Page {
        let file: Int32
        let address: UnsafeMutableRawPointer

        init() {
            var path = Array("/tmp/prwlock-page.XXXXXX".utf8CString)
            file = mkstemp(&path)
            precondition(file >= 0 && unlink(path) == 0 && ftruncate(file, 4_096) == 0)
            guard let address = linux_map_memory(file, 4_096) else { preconditionFailure("not mapped") }
            self.address = address
        }

        func lose() { precondition(ftruncate(file, 0) == 0) }

        var word: UInt64 {
            get { address.load(as: UInt64.self) }
            nonmutating set { address.storeBytes(of: newValue, as: UInt64.self) }
        }
    }

    @Test("go on in other memory") func guarded() {
        let pages = [Page(), Page()]
        let places = pages.map { linux_guard_page($0.address) }
        #expect(places == [0, 1])
        for page in pages {
            page.word = 7
            page.lose()
        }
        for page in pages { page.word += 1 }
        #expect(pages[0].word == 2, "both have one page, which was zero")
        linux_unguard_page(places[0])
        #expect(linux_guard_page(Page().address) == places[0], "a place is used again")
    }
}
