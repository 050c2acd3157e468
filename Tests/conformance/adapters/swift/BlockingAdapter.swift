import Foundation
import PRWLock
import Synchronization

/// The blocking client behind the driver's commands: each owner is a thread with a client of its own.
final class BlockingAdapter {
    static let capabilities = """
        owners update lease note bytes nul grace fork cache place start until trusts-path last-words
        """

    private var owners: [String: Owner] = [:]

    func run() {
        Conversation.say(["client": "Swift, blocking", "can": Self.capabilities])
        while let line = readLine() {
            guard let command = Command(line: line) else { continue }
            let owner = owners[command.owner] ?? Owner()
            owners[command.owner] = owner
            owner.queue.async { owner.carryOut(command) }
        }
    }
}

/// Unchecked: only its queue uses the client and the grants.
private final class Owner: @unchecked Sendable {
    let queue = DispatchQueue(label: "owner")
    private let client = BlockingClient()
    private var held: [Int: Held] = [:]

    private final class Held {
        var grant: BlockingGrant?

        init(_ grant: consuming BlockingGrant) { self.grant = consume grant }

        var facts: Fields {
            guard let token = grant?.token, let mode = grant?.mode else { return ["error": "not-held"] }
            return conformance_client.facts(token: token, mode: mode, mark: grant?.mark ?? nil)
        }
    }

    func carryOut(_ command: Command) {
        do {
            if let answer = try answer(command) { Conversation.say(answer, id: command.id) }
        } catch {
            Conversation.say(fields(of: error, waited: command.duration("wait_ms")), id: command.id)
        }
    }

    private func answer(_ command: Command) throws -> Fields? {
        switch command.verb {
        case "acquire":
            guard let name = command.name else { return ["error": "invalid"] }
            let held = Held(try acquire(client.lock(name), command))
            self.held[command.id] = held
            return held.facts
        case "release":
            guard let grant = held.removeValue(forKey: command.number("grant"))?.grant.take() else {
                return ["error": "not-held"]
            }
            try grant.release()
            return [:]
        case "fork": return fork(command)
        case "cycle":
            guard let name = command.name else { return ["error": "invalid"] }
            let lock = client.lock(name)
            for _ in 0..<command.number("times") {
                if command.text("mode") == "read" {
                    try lock.withReadLock {}
                } else {
                    try lock.withWriteLock {}
                }
            }
            return [:]
        default: return try change(command)
        }
    }

    private func acquire(_ lock: BlockingRWLock, _ command: Command) throws -> BlockingGrant {
        let (timeout, lease) = (command.duration("wait_ms"), command.duration("lease_ms"))
        let note = command.text("note")
        return switch command.text("mode") {
        case "read": try lock.acquireRead(timeout: timeout, lease: lease, note: note)
        case "update": try lock.acquireUpdate(timeout: timeout, lease: lease, note: note)
        default: try lock.acquireWrite(timeout: timeout, lease: lease, note: note)
        }
    }

    private func change(_ command: Command) throws -> Fields {
        guard let held = held[command.number("grant")] else { return ["error": "not-held"] }
        switch command.verb {
        case "upgrade": try held.grant?.upgrade(timeout: command.duration("wait_ms"))
        case "downgrade": try held.grant?.downgrade(to: command.text("mode") == "update" ? .update : .read)
        case "renew": try held.grant?.renew(lease: command.duration("lease_ms"))
        case "check": if let lost = held.grant?.lost { throw lost }
        default: return ["error": "unknown-command"]
        }
        return held.facts
    }

    /// The child answers, without a buffer that both processes have.
    private func fork(_ command: Command) -> Fields? {
        let child = withoutThreads()
        guard child == 0 else {
            var status: Int32 = 0
            waitpid(child, &status, 0)
            return nil
        }
        var fields = ["acquired": "", "released": ""]
        fields["acquired"] = result(of: ["id": 0, "do": "acquire", "mode": "write", "wait_ms": 0], command)
        fields["released"] = result(
            of: ["id": 0, "do": "release", "grant": command.number("grant")], command)
        client.close()
        Conversation.say(fields, id: command.id)
        _exit(0)
    }

    private func result(of fields: [String: Any], _ command: Command) -> String {
        let whole = fields.merging(["name_hex": command.text("name_hex")]) { own, _ in own }
        guard let data = try? JSONSerialization.data(withJSONObject: whole),
            let inner = Command(line: String(decoding: data, as: UTF8.self))
        else { return "other" }
        do { return try answer(inner)?["error"] ?? "ok" } catch {
            return conformance_client.fields(of: error, waited: .zero)["error"] ?? "other"
        }
    }
}

/// `fork`, which the overlay for Swift hides.
@_silgen_name("fork") private func withoutThreads() -> pid_t
