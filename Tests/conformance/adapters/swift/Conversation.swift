import Foundation
import PRWLock
import Synchronization

/// One command of the driver. `Tests/conformance/README.md` lists the commands and their fields.
struct Command: Sendable {
    let id: Int
    let verb: String
    let owner: String
    private let texts: [String: String]
    private let numbers: [String: Int]

    init?(line: String) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)),
            let fields = object as? [String: Any],
            let id = fields["id"] as? Int, let verb = fields["do"] as? String
        else { return nil }
        (self.id, self.verb, owner) = (id, verb, fields["owner"] as? String ?? "")
        texts = fields.compactMapValues { $0 as? String }
        numbers = fields.compactMapValues { $0 as? Int }
    }

    func text(_ key: String) -> String { texts[key] ?? "" }
    func number(_ key: String) -> Int { numbers[key] ?? 0 }

    /// A duration in milliseconds; nil if the command has none.
    func duration(_ key: String) -> Duration? { numbers[key].map { .milliseconds($0) } }

    /// The lock that the command names; nil if no lock can have this name.
    ///
    /// From the digits, because Foundation drops a byte order mark.
    var name: LockName? {
        let digits = Array(text("name_hex"))
        let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(digits[$0..<$0 + 2]), radix: 16)
        }
        return String(validating: bytes, as: UTF8.self).map { LockName(encoding: $0) }
            ?? LockName(encoding: bytes)
    }
}

typealias Fields = [String: String]

/// Writes the answers and events, each as one line.
enum Conversation {
    private static let output = Mutex(())

    static func say(_ fields: Fields, id: Int? = nil, event: (name: String, id: Int)? = nil) {
        var object: [String: Any] = fields
        if let id { object["id"] = id }
        if let event { (object["event"], object["of"]) = (event.name, event.id) }
        guard let line = try? JSONSerialization.data(withJSONObject: object) else { return }
        output.withLock { _ in FileHandle.standardOutput.write(line + Data("\n".utf8)) }
    }
}

/// What an error is in the words of the driver.
func fields(of error: any Error, waited wait: Duration?) -> Fields {
    switch error {
    case let lost as LockLost: return ["error": "lost", "reason": "\(lost.cause)", "text": "\(lost)"]
    case let error as LockError: return fields(of: error, waited: wait)
    case is CancellationError: return ["error": "cancelled"]
    default: return ["error": "other", "text": "\(error)"]
    }
}

private func fields(of error: LockError, waited wait: Duration?) -> Fields {
    let text = "\(error)"
    switch error {
    case .timedOut(_, _, _, let heldBy):
        return ["error": wait == .zero ? "busy" : "timeout", "held_by": spelled(heldBy), "text": text]
    case .deadlock(_, _, let cycle): return ["error": "deadlock", "cycle": spelled(cycle), "text": text]
    case .denied: return ["error": "denied", "text": text]
    case .wrongMode: return ["error": "wrong-mode", "text": text]
    case .refused(let code, _):
        let isLimit = code.rawValue.hasPrefix("limit-")
        return ["error": isLimit ? "limit" : "refused", "code": code.rawValue, "text": text]
    case .clusterUnavailable: return ["error": "cluster", "text": text]
    case .unreachable(let why): return ["error": word(for: why), "text": text]
    case .disconnected: return ["error": "unavailable", "text": text]
    case .invalidArgument: return ["error": "invalid", "text": text]
    case .closed: return ["error": "closed", "text": text]
    }
}

private func word(for error: RendezvousError) -> String {
    switch error {
    case .noAnswer, .slowStart: "silent"
    case .untrustedServer, .unsafeDirectory, .untrustedPath, .notPermitted, .stranger: "untrusted"
    case .turnedAway: "limit"
    default: "unavailable"
    }
}

/// As the protocol spells it, with one spelling for all clients.
private func spelled(_ heldBy: HeldBy) -> String {
    let named = heldBy.named.map { "\(party($0.processID, $0.host))/\($0.mode)" }
    return heldBy.isEmpty ? "?" : (named + more(heldBy.more)).joined(separator: ",")
}

private func spelled(_ cycle: Cycle) -> String {
    let named = cycle.named.map { hop in
        let owner = hop.owner == .session ? "" : "/\(hop.owner)"
        return "\(party(hop.processID, hop.host))\(owner):\(hop.lock.text)"
    }
    return (named + more(cycle.more)).joined(separator: ">")
}

private func party(_ processID: Int32?, _ host: HostName?) -> String {
    host.map { "host:\($0)" } ?? processID.map { "\($0)" } ?? "?"
}

private func more(_ count: Int) -> [String] { count > 0 ? ["+\(count)"] : [] }

func facts(token: Token, mode: LockMode, mark: Mark?) -> Fields {
    var fields = ["token": "\(token)", "mode": "\(mode)"]
    if let mark { fields["ownerdied"] = mark == .maybe ? "maybe" : "1" }
    return fields
}
