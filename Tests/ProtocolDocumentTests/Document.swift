import Glibc
import Posix

/// A document in the repository's root folder, and its transcripts.
struct Document: Sendable {
    let text: String
    let transcripts: [Transcript]

    static func protocolPage() throws -> Document { try Document("protocol.md") }

    /// The transcripts of all documents that may contain transcripts.
    static func allTranscripts() throws -> [Transcript] {
        try ["protocol.md", "README.md"].flatMap { name in
            do {
                return try Document(name).transcripts
            } catch let error as SystemError where error.code == ENOENT {
                return []
            }
        }
    }

    /// The contents of the document's fenced blocks of one kind.
    func blocks(_ kind: String) -> [String] {
        text.split(separator: "```\(kind)\n").dropFirst().compactMap {
            $0.split(separator: "\n```").first.map { $0 + "\n" }
        }
    }

    private init(_ name: String) throws {
        text = try Self.text(name)
        transcripts = try Transcript.all(in: text, named: name)
    }

    /// The text of a file in the repository.
    static func text(_ path: String) throws -> String {
        String(decoding: try FileContents.read("\(folder)/\(path)"), as: UTF8.self)
    }

    private static var folder: String {
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    }
}
