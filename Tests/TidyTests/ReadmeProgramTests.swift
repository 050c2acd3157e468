import Foundation
import TestSupport
import Testing

@Suite("The README's C program works")
struct ReadmeProgramTests {
    @Test(
        "it compiles without a warning, and gets the lock",
        .enabled("needs a C compiler") { Program(installed: "cc") != nil })
    func program() throws {
        let readme = try SourceTree.text("README.md")
        let body = try #require(
            readme.split(separator: "\n```c\n").dropFirst().first?.split(separator: "\n```").first)
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
}
