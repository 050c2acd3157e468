import Testing

@Suite("Files are in their place and of a size to read")
struct FileTests {
    @Test("no source file is longer than 400 lines", arguments: ["Sources", "Tests"])
    func length(folder: String) throws {
        for file in try SourceTree.files(below: folder, endings: [".swift", ".c", ".h", ".py"]) {
            #expect(file.lines.count <= 401, "\(file.path)")
        }
    }

    @Test("nothing is left for later in a comment")
    func leftovers() throws {
        // Spelled so that this file does not hold them.
        let marks = ["TO" + "DO", "FIX" + "ME"]
        for folder in ["Sources", "Tests", "systemd"] {
            let endings = [".swift", ".c", ".h", ".py", ".md", ".service", ".socket", ".conf"]
            for file in try SourceTree.files(below: folder, endings: endings) {
                for (index, line) in file.lines.enumerated() {
                    for mark in marks { #expect(!line.contains(mark), "\(file.path):\(index + 1)") }
                }
            }
        }
    }

    @Test("the top level has only what a newcomer looks for")
    func topLevel() throws {
        let known: Set<String> = [
            ".ci", ".git", ".github", ".gitignore", ".swift-format", "LICENSE", "Package.swift", "README.md",
            "Sources", "Tests", "protocol.md", "systemd",
        ]
        // Files of a build, which version control ignores.
        let built = { (name: String) in
            name.hasPrefix(".build") || name == ".swiftpm" || name == "Package.resolved"
        }
        let unknown = try SourceTree.entries("").filter { !known.contains($0) && !built($0) }
        #expect(unknown.isEmpty)
    }
}
