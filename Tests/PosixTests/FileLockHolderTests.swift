import Glibc
import Testing

@testable import Posix

/// The process that holds a lock on a file, according to the kernel.
@Suite struct FileLockHolderTests {
    @Test("the holder is the process that took the lock, and not one that waits or has another kind of lock")
    func lines() {
        let locks = """
            1: POSIX  ADVISORY  WRITE 5 fe:00:77 0 EOF
            2: FLOCK  ADVISORY  WRITE 811 fe:00:77 0 EOF
            2: -> FLOCK  ADVISORY  WRITE 812 fe:00:77 0 EOF
            3: FLOCK  ADVISORY  WRITE 0 fe:00:78 0 EOF
            4: FLOCK  ADVISORY  WRITE 9 fe:00:79 0 EOF
            5: FLOCK  ADVISORY  WRITE 10 fe:01:79 0 EOF
            nonsense
            """
        let bytes = Array(locks.utf8)
        #expect(FileLock.holder(of: "fe:00:77", inLocks: bytes) == 811)
        #expect(FileLock.holder(of: "00:2d:77", inLocks: bytes) == 811)
        #expect(FileLock.holder(of: "fe:00:78", inLocks: bytes) == nil)
        #expect(FileLock.holder(of: "fe:01:79", inLocks: bytes) == 10)
        #expect(FileLock.holder(of: "00:2d:79", inLocks: bytes) == nil)
        #expect(FileLock.holder(of: "fe:00:80", inLocks: bytes) == nil)
    }

    @Test("a lock of this process is found under the file's own name")
    func own() throws {
        var template = Array("/tmp/prwlock-tests-XXXXXX".utf8CString)
        let number = mkstemp(&template)
        let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer { unlink(path) }
        let lock = try FileLock(trying: OwnedDescriptor(owning: number))
        // A sandbox may hide /proc/locks.
        if access("/proc/locks", R_OK) == 0 { #expect(FileLock.holder(at: path)?.id == getpid()) }
        _ = consume lock
        #expect(FileLock.holder(at: path) == nil)
    }
}
