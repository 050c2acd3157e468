import Foundation
import TestSupport
import Testing

@Suite("The README's lines can be used")
struct ReadmeTests {
    @Test("its dependency line resolves in another package, and has the product that it names")
    func dependency() throws {
        let lines = try SourceTree.text("README.md").split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix(".package(") })
        let dependency = try #require(line.firstMatch(of: /\.package\(.*?\)/)).output
        let product = try #require(line.firstMatch(of: /product is "(.*?)"/)).output.1
        let folder = try TemporaryDirectory()
        let package = URL(filePath: folder("app"))
        try FileManager.default.createDirectory(
            at: package.appending(path: "Sources/app"), withIntermediateDirectories: true)
        // The line expects the clone beside the package.
        try FileManager.default.createSymbolicLink(
            atPath: folder("prwlock"), withDestinationPath: SourceTree.root.path)
        try """
        // swift-tools-version: 6.2
        import PackageDescription
        let package = Package(
            name: "app", dependencies: [\(dependency)],
            targets: [.target(name: "app", dependencies: [.product(name: "\(product)", package: "prwlock")])])
        """.write(to: package.appending(path: "Package.swift"), atomically: true, encoding: .utf8)
        try "import \(product)\n".write(
            to: package.appending(path: "Sources/app/App.swift"), atomically: true, encoding: .utf8)
        try mirrorDependency(for: package)
        let swift = Process()
        swift.executableURL = URL(filePath: "/usr/bin/env")
        swift.arguments = ["swift", "package", "--package-path", package.path, "show-dependencies"]
        let output = Pipe()
        swift.standardOutput = output
        swift.standardError = output
        try swift.run()
        let said = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        swift.waitUntilExit()
        #expect(swift.terminationStatus == 0, "\(said)")
        #expect(said.contains("prwlock"))
    }

    /// Has a package take the one dependency from where these tests were built, and not from the network.
    private func mirrorDependency(for package: URL) throws {
        let scratch = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let clones = try FileManager.default.contentsOfDirectory(
            at: scratch.appending(path: "repositories"), includingPropertiesForKeys: nil)
        let name = "swift-argument-parser"
        let clone = try #require(clones.first { $0.lastPathComponent.hasPrefix(name + "-") })
        let mirror = #"{"original": "https://github.com/apple/\#(name)", "mirror": "file://\#(clone.path)"}"#
        let configuration = package.appending(path: ".swiftpm/configuration")
        try FileManager.default.createDirectory(at: configuration, withIntermediateDirectories: true)
        try #"{"object": [\#(mirror)], "version": 1}"#.write(
            to: configuration.appending(path: "mirrors.json"), atomically: true, encoding: .utf8)
    }

    @Test("Tests/README.md names every folder and file of Tests, and no other")
    func testFolders() throws {
        let page = try SourceTree.text("Tests/README.md")
        let section = try #require(page.split(separator: "\n## ").first { $0.hasPrefix("What is where\n") })
        let firstCells = section.split(separator: "\n").compactMap { $0.split(separator: "|").first }
        let named = firstCells.filter { $0.hasPrefix(" `") }.flatMap { cell in
            cell.matches(of: /`([^`]+)`/).map { String($0.1) }
        }
        #expect(Set(named) == Set(try SourceTree.entries("Tests")).subtracting(["README.md"]))
    }
}
