import Foundation
import Testing

@Suite("What a release consists of agrees with the source tree")
struct ReleaseTests {
    @Test("the newest entry of the changes is this version, each has a date, and the C library agrees")
    func version() throws {
        let release = try SourceTree.text("Sources/LockVocabulary/Release.swift")
        let version = try #require(release.firstMatch(of: /version = "(.*?)"/)).output.1
        let changes = try SourceTree.text(".github/CHANGELOG.md")
        let headings = changes.split(separator: "\n").filter { $0.hasPrefix("## ") }
        let newest = try #require(headings.first?.wholeMatch(of: /## (\S+) \(\d{4}-\d\d-\d\d\)/))
        #expect(newest.output.1 == version)
        for heading in headings {
            #expect(heading.wholeMatch(of: /## \d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)/) != nil, "\(heading)")
        }
        let header = try SourceTree.text("Sources/CPRWLock/include/prwlock.h")
        #expect(header.contains("PRWLOCK_VERSION \"\(version)\"\n"))
    }

    @Test("the symbols of the package libprwlock1 are those that the library exports")
    func symbols() throws {
        let map = try SourceTree.text("Sources/CPRWLock/prwlock.map")
        let symbols = try SourceTree.text("Sources/debian/libprwlock1.symbols")
        let exported = map.matches(of: /\n +(prwlock_\w+);/).map(\.output.1)
        let packaged = symbols.matches(of: /\n (prwlock_\w+)@/).map(\.output.1)
        #expect(Set(packaged) == Set(exported))
    }

    @Test("each manual page but that of the benchmark is in a package, and each file of systemd")
    func files() throws {
        let lists = try SourceTree.files(
            below: "Sources/debian", endings: ["rules", ".install", ".manpages", ".examples"])
        let packaged = lists.flatMap(\.lines).joined(separator: "\n")
        // The Makefile of the library installs its page.
        let others: Set<String> = ["prwlock-bench.1", "libprwlock.3"]
        for page in try SourceTree.entries("Sources/manual") where !others.contains(page) {
            #expect(packaged.contains("Sources/manual/\(page)\n"), "\(page)")
        }
        for file in try SourceTree.entries("systemd") where file != "user" {
            #expect(packaged.contains("systemd/\(file)"), "\(file)")
        }
    }
}
