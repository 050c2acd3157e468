import CLinux
import Glibc
import Ledger
import Posix

/// The memory of the ledger: a file without a path, mapped for as long as the process lives.
///
/// The kernel frees it with the last descriptor of it, which the keeper has. No other user can open it.
struct LedgerMemory: ~Copyable {
    let file: OwnedDescriptor
    private let base: UnsafeMutableRawPointer
    private let range: Int

    /// The range of addresses: as large as a limit on the address space permits, within these.
    private static let largestRange = 1 << 36
    private static let smallestRange = 1 << 26
    /// The file grows by a multiple of this, because each growth is a system call.
    private static let step = 1 << 20

    /// New memory, which is zero.
    init() throws(SystemError) {
        let number = linux_make_memory("prwlock-ledger")
        guard number >= 0 else { throw .last("memfd_create") }
        try self.init(of: OwnedDescriptor(owning: number))
    }

    /// The memory that another process has made.
    init(of file: consuming OwnedDescriptor) throws(SystemError) {
        var range = Self.largestRange
        while range >= Self.smallestRange {
            if let base = linux_map_memory(file.rawValue, range) {
                self.file = file
                self.base = base
                self.range = range
                return
            }
            range /= 4
        }
        throw .last("mmap", "the ledger")
    }

    /// The bytes that can be used now.
    private var size: Int {
        var status = stat()
        return fstat(file.rawValue, &status) == 0 ? Int(status.st_size) : 0
    }

    /// The memory for a ledger. It is valid as long as the process, because nothing unmaps it.
    var memory: Memory {
        let number = file.rawValue
        var usable = size
        return Memory(base: base, byteCount: min(usable, range), limit: range) { count in
            guard count > usable else { return true }
            let rounded = (count + Self.step - 1) / Self.step * Self.step
            guard linux_extend_memory(number, Int64(rounded)) == 0 else { return false }
            usable = rounded
            return true
        }
    }
}
