import Glibc
import Posix
import TestSupport
import Testing

/// Other users can add files to the folder of the running command, as in `/tmp`.
@Suite(
    "The command in a folder that all users share",
    .enabled(
        if: geteuid() == 0 && access("/usr/bin/prwlockd", F_OK) != 0,
        "needs two users, and no installed daemon"))
struct SharedFolderTests {
    private static let other: UInt32 = 65_534
    private let host: TemporaryDirectory
    private var shared: String { host("shared") }

    /// A host without a daemon. The other user has put a program there, which says that it was run.
    init() throws {
        host = try TemporaryDirectory()
        for folder in ["run", "tmp", "home", "shared"] { mkdir(host(folder), 0o755) }
        chmod(shared, 0o1777)
        try copy("\(ToolProcess.programs)/prwlock", to: "\(shared)/prwlock")
        try install(owner: Self.other)
    }

    @Test("a daemon's program of another user there is not started, and the error says why")
    func stranger() throws {
        let complaint = try complaintOfPing(status: 77)
        #expect(complaint.contains("prwlockd is not started, because another user could replace it"))
        #expect(complaint.contains("belongs to user \(Self.other)"))
    }

    @Test("a program of root there is started") func own() throws {
        try install(owner: 0)
        _ = try complaintOfPing(status: nil)
        #expect(hasRun)
    }

    @Test("a user who owns the running command decides what it starts") func owner() throws {
        chown("\(shared)/prwlock", Self.other, Self.other)
        _ = try complaintOfPing(status: nil)
        #expect(hasRun)
    }

    @Test("a file at the path of a command that is gone is not the running command") func removed() throws {
        // The kernel reports this name for it.
        let gone = "\(shared)/prwlock (deleted)"
        close(creat(gone, 0o755))
        chown(gone, Self.other, Self.other)
        _ = try complaintOfPing(
            status: 77, "exec 9<\(shared)/prwlock; /bin/rm \(shared)/prwlock; exec /proc/self/fd/9 ping")
    }

    private var hasRun: Bool { access(host("ran"), F_OK) == 0 }

    /// What `prwlock ping` complains about. With a status, it must end with that one and start nothing.
    private func complaintOfPing(status: Int32?, _ script: String? = nil) throws -> String {
        let script = script ?? "exec \(shared)/prwlock ping"
        let ping = try ToolProcess(
            "/bin/sh", ["sh", "-c", "PATH=/nowhere; \(script)"], socket: "",
            environment: ["PRWLOCK_TEST_ROOT=\(host.path)"])
        let ended = try ping.status()
        if let status { #expect(ended == status && !hasRun) }
        return try ping.complaints()
    }

    private func install(owner: UInt32) throws {
        let path = "\(shared)/prwlockd"
        unlink(path)
        try write(Array("#!/bin/sh\n: >\(host("ran"))\n".utf8), to: host("script"))
        try copy(host("script"), to: path)
        chown(path, owner, owner)
    }

    /// Copies in a process of its own. A child that another test forks at this moment would keep a file open that this process
    /// writes, and the kernel runs no file that is open for writing ("Text file busy").
    private func copy(_ source: String, to path: String) throws {
        let copying = try ToolProcess("/bin/cp", ["cp", source, path], socket: "")
        #expect(try copying.status() == 0)
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let file = OwnedDescriptor(owning: open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755))
        try FileContents.write(bytes, to: file)
        fchmod(file.rawValue, 0o755)
    }
}
