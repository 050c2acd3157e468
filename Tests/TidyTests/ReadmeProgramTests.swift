import Foundation
import TestSupport
import Testing

@Suite("The README's C programs work")
struct ReadmeProgramTests {
    @Test(
        "the one without a library compiles without a warning, and gets the lock",
        .enabled("needs a C compiler") { Program(installed: "cc") != nil })
    func program() throws {
        let readme = try SourceTree.text("README.md")
        let body = try #require(block(in: readme, with: "socket(AF_UNIX"))
        let daemon = try DaemonProcess()
        let (source, program) = (daemon.directory("lock.c"), daemon.directory("lock"))
        let headers = ["err", "stdio", "string", "sys/socket", "sys/un", "unistd"].map {
            "#include <\($0).h>\n"
        }
        try """
        #define _GNU_SOURCE
        \(headers.joined())
        static void work(void) { puts("works"); }
        int main(void) {
        \(body.replacing("/tmp/prwlock-%u/prwlock.sock\", geteuid()", with: "\(daemon.socketPath)\""))
        }
        """.write(toFile: source, atomically: true, encoding: .utf8)
        let compiler = try #require(Program(installed: "cc"))
        #expect(try compiler.output("-Wall", "-Wextra", "-o", program, source).isEmpty)
        let shell = try #require(Program(installed: "env"))
        #expect(try shell.output(program) == "works\n")
    }

    @Test(
        "the one with libprwlock compiles without a warning, and gets the lock",
        .enabled("needs a C compiler") { Program(installed: "cc") != nil })
    func library() throws {
        let body = try #require(block(in: SourceTree.text("README.md"), with: "prwlock_open("))
        let daemon = try DaemonProcess()
        let (source, program) = (daemon.directory("lock.c"), daemon.directory("lock"))
        try """
        #include <err.h>
        #include <prwlock.h>
        #include <stdio.h>
        static void work(void) { puts("works"); }
        int main(void) {
        \(body)
        }
        """.write(toFile: source, atomically: true, encoding: .utf8)
        let library = SourceTree.root.appending(path: "Sources/CPRWLock").path
        let compiler = try #require(Program(installed: "sh"))
        let command = """
            cc -Wall -Wextra -pthread -I'\(library)/include' -I'\(library)/../CSlot/include' -o '\(program)' \
                '\(source)' '\(library)'/*.c
            """
        #expect(try compiler.output("-c", command).isEmpty)
        let shell = try #require(Program(installed: "env"))
        #expect(try shell.output("PRWLOCK_SOCKET=\(daemon.socketPath)", program) == "works\n")
    }

    /// The first block of C that contains this text.
    private func block(in page: String, with text: String) -> Substring? {
        let blocks = page.split(separator: "\n```c\n").dropFirst()
        return blocks.compactMap { $0.split(separator: "\n```").first }.first { $0.contains(text) }
    }
}
