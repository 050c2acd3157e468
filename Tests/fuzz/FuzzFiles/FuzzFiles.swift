import LockDaemon
import LockServer
import LockVocabulary
import Posix

/// The parsers of files and of `/proc`: the first byte selects one; the rest is the content.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzFiles(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: start, count: count)
    guard let first = input.first else { return 0 }
    let bytes = Array(input.dropFirst())
    switch first % 5 {
    case 0: readRules(bytes)
    case 1: readTokens(bytes)
    case 2:
        var configuration = Configuration()
        try? configuration.read(bytes, of: "file")
    case 3:
        if let unit = ProcessFacts.unit(inControlGroups: bytes) {
            precondition(!unit.contains("/") && unit.contains("."), "that is no unit")
        }
    default: _ = ProcessStartTime(statLine: bytes)
    }
    return 0
}

/// Checks that a rule file is accepted or rejected as a whole, each time alike, and that the reported fault lies within
/// the file and has no control characters.
private func readRules(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    let names = PolicyNames(user: { $0 == "alice" ? 1_000 : nil }, group: { $0 == "oncall" ? 34 : nil })
    do throws(PolicyFault) {
        let policy = try Policy(parsing: text, names)
        precondition((try? Policy(parsing: text, names)) == policy, "the same rules are not the same")
        var configuration = ServerConfiguration()
        configuration.policy = policy
        var server = Server(configuration)
        for user in [UInt32(0), 1_000, 1_001] {
            var peer = Peer(processID: 1, userID: user, groupID: 34)
            peer.identity.unit = "a.service"
            _ = server.open(peer, at: .zero)
        }
    } catch {
        let lines = text.utf8.split(separator: 10, omittingEmptySubsequences: false).map(\.count)
        precondition(lines.indices.contains(error.line - 1), "there is no such line")
        precondition((1...lines[error.line - 1] + 1).contains(error.column), "there is no such column")
        precondition(
            error.description.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "that harms a terminal")
    }
}

/// Checks that an accepted page is the same when it is written again.
private func readTokens(_ bytes: [UInt8]) {
    guard let record = TokenFile.Record(page: bytes[...]) else { return }
    let again = TokenFile.Record(page: record.page(of: 4_096)[...])
    precondition(again == record, "a page changes by being written")
}
