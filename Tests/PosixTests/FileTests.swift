import Glibc
import Posix
import Testing

@Suite struct FileTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("only one holder at a time has a file lock, and the lock ends with its owner")
    func fileLock() throws {
        let path = directory("lock")
        do {
            guard let held = try FileLock(tryingAt: path) else {
                Issue.record("a free lock was refused")
                return
            }
            let second = try FileLock(tryingAt: path) == nil
            #expect(second)
            #expect(held.file.rawValue >= 0)
        }
        let free = try FileLock(tryingAt: path) != nil
        #expect(free)
        _ = try FileLock(waitingAt: path)
    }

    @Test("a lock file is not followed through a symbolic link")
    func lockFileIsNoLink() throws {
        let (path, other) = (directory("lock"), directory("other"))
        symlink(other, path)
        #expect(throws: SystemError.self) { _ = try FileLock(waitingAt: path) }
    }

    @Test("a directory is made with its ancestors, and has a status with its owner and permissions")
    func directories() throws {
        let (_, deep) = (directory("a"), directory("a/b"))
        let made = try DirectoryDescriptor.creating(deep, mode: 0o700)
        let status = try made.status()
        #expect(status.userID == getuid())
        #expect(status.permissions == 0o700)
        #expect(status.isDirectory)
        let again = try DirectoryDescriptor.creating(deep)
        #expect(try again.status() == status)
    }

    @Test("a file that is written under another name and renamed is complete")
    func replacedFile() throws {
        _ = directory("new")
        let path = directory("mark")
        let folder = try DirectoryDescriptor(directory.path)
        let file = try folder.open("new", flags: O_WRONLY | O_CREAT | O_EXCL)
        let bytes = [UInt8](repeating: 7, count: 10_000)
        try FileContents.write(bytes, to: file)
        try folder.rename("new", to: "mark")
        try folder.synchronize()
        #expect(try FileContents.read(path) == bytes)
        #expect(throws: SystemError.self) { try FileContents.read(path, limit: 9_999) }
    }

    @Test("the boot clock never goes back")
    func bootClock() {
        var last = BootClock.now()
        for _ in 0..<1000 {
            let now = BootClock.now()
            #expect(now >= last)
            last = now
        }
    }

    @Test("a descriptor is closed with its owner, unless the owner has released it")
    func descriptors() throws {
        let number: Int32
        do {
            let pair = try UnixSocket.pair()
            number = pair.first.rawValue
            #expect(fcntl(number, F_GETFD) >= 0)
        }
        let kept = try OwnedDescriptor(owning: dup(2)).duplicate().release()
        #expect(fcntl(kept, F_GETFD) & FD_CLOEXEC != 0)
        close(kept)
    }

    @Test("an error states the call, its subject and the reason")
    func description() {
        let error = SystemError(code: ENOENT, call: "open", subject: "/x")
        #expect(error.description == "open /x: No such file or directory")
    }
}
