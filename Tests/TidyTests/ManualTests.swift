import Foundation
import Testing

@Suite("Manuals")
struct ManualTests {
    @Test(
        "the manual pages are without fault",
        .enabled("needs groff") { Program(installed: "groff") != nil },
        arguments: try SourceTree.entries("Sources/manual"))
    func format(page: String) throws {
        let groff = try #require(Program(installed: "groff"))
        let complaints = try groff.output(
            "-mandoc", "-ww", "-Tutf8", "-z", SourceTree.root.appending(path: "Sources/manual/\(page)").path)
        #expect(complaints.isEmpty)
    }
}
