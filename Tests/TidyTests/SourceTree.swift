import Foundation
import Testing

/// The files of this package.
enum SourceTree {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    struct File: CustomTestStringConvertible {
        /// Relative to the package's directory.
        let path: String
        let lines: [Substring]

        var testDescription: String { path }
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    static func entries(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: root.appending(path: path).path).sorted()
    }

    /// All files below a directory with one of these endings.
    static func files(below directory: String, endings: [String]) throws -> [File] {
        let base = root.appending(path: directory).path
        let names = try FileManager.default.subpathsOfDirectory(atPath: base).sorted()
        return try names.filter { name in endings.contains { name.hasSuffix($0) } }.map { name in
            let path = "\(directory)/\(name)"
            return File(
                path: path, lines: try text(path).split(separator: "\n", omittingEmptySubsequences: false))
        }
    }
}
