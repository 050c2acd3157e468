import Glibc
import Posix
import TestSupport
import Testing

@Suite struct ManualTests {
    @Test(
        "the manual describes every option of every subcommand",
        arguments: [
            "run", "hold", "release", "status", "list", "sessions", "stats", "watch", "ping", "validate",
            "revoke", "upgrade", "top", "graph", "hot", "wait", "log", "doctor",
        ])
    func options(subcommand: String) throws {
        let file = #filePath.split(separator: "/").dropLast(3)
        let path = "/" + file.joined(separator: "/") + "/Sources/manual/prwlock.1"
        let manual = String(decoding: try FileContents.read(path), as: UTF8.self)
        let daemon = try DaemonProcess()
        let help = try ToolProcess([subcommand, "--help"], at: daemon).rest()
        #expect(manual.contains(".Cm \(subcommand)") || manual.contains(" \(subcommand) "))
        let options = help.matches(of: /(?:^|[ ,(])(--?[A-Za-z][a-z-]*)/).map { $0.1 }
        #expect(options.contains("--socket"))
        for option in options {
            #expect(manual.contains(try Regex("(Fl|,) (Fl )?\(option.dropFirst())[ \n]")), "\(option)")
        }
    }
}
