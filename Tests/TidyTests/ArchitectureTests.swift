import Foundation
import Testing

/// Compares the picture and the table of modules in `Sources/ARCHITECTURE.md` with `Package.swift`.
@Suite("The architecture shows the modules as they are")
struct ArchitectureTests {
    @Test("the table has every module, with what it imports")
    func table() throws {
        let cells = try document().split(separator: "\n").map {
            $0.split(separator: "|", omittingEmptySubsequences: false)
        }
        let rows = cells.filter { $0.count == 5 && $0[1].contains("`") }.map { row in
            (Self.names(in: row[1], quotedBy: "`"), Self.names(in: row[3], quotedBy: "`"))
        }
        let shown = rows.flatMap { modules, imports in modules.map { ($0, Set(imports)) } }
        #expect(try Dictionary(uniqueKeysWithValues: shown) == modules())
    }

    @Test("the picture has every module once, above the modules that it imports")
    func picture() throws {
        let modules = try modules()
        let picture = try #require(document().split(separator: "```").dropFirst().first)
        var drawn: [String] = []
        for row in picture.split(separator: "\n") {
            let names = row.split(separator: " ").map(String.init).filter { modules[$0] != nil }
            drawn += names
            for module in names {
                #expect(modules[module]?.isDisjoint(with: drawn) == true, "\(module) stands too low")
            }
        }
        #expect(drawn.sorted() == modules.keys.sorted())
    }

    @Test("every file that the document names exists")
    func files() throws {
        let named = Self.names(in: try SourceTree.text("Sources/ARCHITECTURE.md")[...], quotedBy: "`")
        for file in named where file.contains(/\/.*\.(swift|py|md|[178])$/) {
            let places = ["Sources/\(file)", "Tests/\(file)", file].map {
                SourceTree.root.appending(path: $0).path
            }
            #expect(places.contains(where: FileManager.default.fileExists), "\(file)")
        }
    }

    /// The part of the document that describes the modules.
    private func document() throws -> Substring {
        let text = try SourceTree.text("Sources/ARCHITECTURE.md")
        return try #require(
            text.split(separator: "\n## Modules\n").dropFirst().first?.split(separator: "\n## ").first)
    }

    /// The targets below `Sources`, each with the package's targets that it depends on.
    private func modules() throws -> [String: Set<String>] {
        let declarations = try SourceTree.text("Package.swift")
            .split(separator: /\n {8}\.(?:target|executableTarget|testTarget|systemLibrary)\(/).dropFirst()
            .filter { !$0.contains("path: \"Tests/") }
        let targets = declarations.map { Self.names(in: $0, quotedBy: "\"") }
            .filter { $0.first?.hasSuffix("Tests") == false }
        let all = Set(targets.compactMap(\.first))
        // A trait may have a module's own name.
        return Dictionary(
            uniqueKeysWithValues: targets.map {
                ($0[0], all.intersection($0.dropFirst()).subtracting([$0[0]]))
            })
    }

    /// What stands between two quotes, in order.
    private static func names(in text: Substring, quotedBy quote: Character) -> [String] {
        let parts = text.split(separator: quote, omittingEmptySubsequences: false).enumerated()
        return parts.filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }
}
