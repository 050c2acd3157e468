import Glibc
import Posix

/// A document at the top of the repository, with the transcripts in it.
struct Document: Sendable {
    let text: String
    let transcripts: [Transcript]

    static func protocolPage() throws -> Document { try Document("protocol.md") }

    /// The transcripts of all documents that may have some.
    static func allTranscripts() throws -> [Transcript] {
        try ["protocol.md", "README.md"].flatMap { name in
            do {
                return try Document(name).transcripts
            } catch let error as SystemError where error.code == ENOENT {
                return []
            }
        }
    }

    private init(_ name: String) throws {
        text = String(decoding: try FileContents.read("\(Self.folder)/\(name)"), as: UTF8.self)
        transcripts = try Transcript.all(in: text, named: name)
    }

    private static var folder: String {
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    }
}
