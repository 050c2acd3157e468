import Glibc
import Testing

@testable import Posix

/// Whether another user could replace a part of a path. Only root can make the files of two users.
@Suite("A path that other users could replace", .enabled(if: geteuid() == 0)) struct PathTrustTests {
    private let directory: TemporaryDirectory
    private let other: UInt32 = 4242
    private let trust = PathTrust([0])

    init() throws {
        directory = try TemporaryDirectory()
        for name in ["ours", "theirs", "shared"] { mkdir(directory(name), 0o755) }
        chown(directory("theirs"), other, other)
        chmod(directory("shared"), 0o1777)
        try write("ours/file")
    }

    private func write(_ name: String, mode: mode_t = 0o644, owner: UInt32 = 0) throws {
        let file = OwnedDescriptor(owning: open(directory(name), O_WRONLY | O_CREAT | O_TRUNC, mode))
        fchmod(file.rawValue, mode)
        fchown(file.rawValue, owner, owner)
    }

    private func link(_ name: String, to target: String, owner: UInt32 = 0) {
        symlink(target, directory(name))
        lchown(directory(name), owner, owner)
    }

    /// The part at which the walk to a file ended; nil if no other user could replace the file.
    private func fault(_ name: String, _ trust: PathTrust? = nil) -> String? {
        do throws(PathFault) {
            try (trust ?? self.trust).checkFile(directory(name))
            _ = try (trust ?? self.trust).file(directory(name), flags: O_RDONLY)
            return nil
        } catch {
            return "\(error)".replacing(directory.path + "/", with: "")
        }
    }

    @Test("each folder and the file belong to root or a trusted user") func owners() throws {
        #expect(fault("ours/file") == nil)
        try write("theirs/file")
        #expect(fault("theirs/file") == "theirs belongs to user 4242")
        #expect(fault("theirs/file", PathTrust([other])) == nil)
        try write("ours/theirs", owner: other)
        #expect(fault("ours/theirs") == "ours/theirs belongs to user 4242")
        mkdir(directory("theirs/ours"), 0o755)
        try write("theirs/ours/file")
        #expect(fault("theirs/ours/file") == "theirs belongs to user 4242")
    }

    @Test("no other user may write to a folder or to the file") func writers() throws {
        try write("ours/file", mode: 0o666)
        #expect(fault("ours/file") == "ours/file is open to all users (chmod o-w)")
        try write("ours/file", mode: 0o664, owner: 0)
        chown(directory("ours/file"), 0, 4242)
        #expect(fault("ours/file") == "ours/file is open to group 4242 (chmod g-w)")
        try write("ours/file")
        chmod(directory("ours"), 0o777)
        #expect(fault("ours/file") == "ours is open to all users (chmod o-w)")
        chmod(directory("ours"), 0o775)
        chown(directory("ours"), 0, 4242)
        #expect(fault("ours/file") == "ours is open to group 4242 (chmod g-w)")
        var lenient = trust
        lenient.groups = .any
        #expect(fault("ours/file", lenient) == nil)
    }

    @Test("in a folder with the sticky bit, the next part belongs to root or a trusted user") func sticky()
        throws
    {
        try write("shared/ours")
        #expect(fault("shared/ours") == nil)
        try write("shared/theirs", owner: other)
        #expect(fault("shared/theirs") == "shared/theirs belongs to user 4242")
        #expect(throws: PathFault.self) { try trust.checkPlace(directory("shared/theirs")) }
        // The file is not made yet, and the kernel lets only one user make it.
        try trust.checkPlace(directory("shared/new"))
        #expect(throws: PathFault.self) { try trust.checkPlace(directory("theirs/new")) }
        // In a folder of root, root has given the file to that user.
        try write("ours/theirs", owner: other)
        try trust.checkPlace(directory("ours/theirs"))
    }

    @Test("links of root are walked, with all parts of their targets; links of others are not")
    func links() throws {
        link("ours/to-file", to: "../ours/./file")
        #expect(fault("ours/to-file") == nil)
        link("ours/to-theirs", to: directory("theirs/file"))
        try write("theirs/file")
        #expect(fault("ours/to-theirs") == "theirs belongs to user 4242")
        link("shared/to-ours", to: directory("ours"), owner: other)
        #expect(fault("shared/to-ours/file") == "shared/to-ours belongs to user 4242")
        link("shared/file", to: directory("ours/file"), owner: other)
        #expect(fault("shared/file") == "shared/file belongs to user 4242")
        link("ours/circle", to: "circle")
        #expect(fault("ours/circle")?.contains("Too many levels of symbolic links") == true)
        link("ours/up", to: "../theirs/../ours")
        #expect(fault("ours/up/file") == "theirs belongs to user 4242")
    }

    @Test("missing folders are made only below folders that no other user could replace") func making() throws
    {
        _ = directory("ours/a")
        let made = try trust.folder(directory("ours/a/b"), making: true)
        #expect(try made.status().permissions == 0o700)
        #expect(throws: PathFault.self) { _ = try trust.folder(directory("theirs/a"), making: true) }
        #expect(throws: SystemError.self) { try FileStatus(at: directory("theirs/a")) }
        link("ours/elsewhere", to: directory("theirs"))
        #expect(throws: PathFault.self) { _ = try trust.folder(directory("ours/elsewhere/a"), making: true) }
        #expect(throws: SystemError.self) { try FileStatus(at: directory("theirs/a")) }
    }

    @Test("a group counts as other users unless the trusted users are its only members")
    func groups() {
        // Root's group has no member but root, and this number belongs to no group.
        #expect(!UserDatabase.hasOnlyMembers([other], group: 3_999_999_999))
        #expect(UserDatabase.hasOnlyMembers([0], group: 0))
        #expect(!UserDatabase.hasOnlyMembers([0], group: UserDatabase.group("games") ?? 60))
    }
}
