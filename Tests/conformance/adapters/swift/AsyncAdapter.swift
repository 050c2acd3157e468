import Foundation
import PRWLock
import Synchronization

/// The client for tasks behind the driver's commands. Each command is a task, with the owner that the driver names.
final class AsyncAdapter: Sendable {
    static let capabilities = """
        owners update lease note bytes nul grace cancel events status list watch validate cache place start until trusts-path last-words
        """

    private let client = Client()
    private let state = Mutex(State())

    private struct State {
        var owners: [String: LockOwner] = [:]
        var tasks: [Int: Task<Void, Never>] = [:]
        var held: [Int: Held] = [:]
    }

    /// Unchecked: the driver gives one command about a grant at a time.
    private final class Held: @unchecked Sendable {
        var grant: Grant?

        init(_ grant: consuming Grant) { self.grant = consume grant }

        var facts: Fields {
            guard let token = grant?.token, let mode = grant?.mode else { return ["error": "not-held"] }
            return conformance_client.facts(token: token, mode: mode, mark: grant?.mark ?? nil)
        }
    }

    func run() async {
        Conversation.say(["client": "Swift, async", "can": Self.capabilities])
        let commands = AsyncStream<Command> { lines in
            Thread.detachNewThread {
                while let line = readLine() { if let command = Command(line: line) { lines.yield(command) } }
                lines.finish()
            }
        }
        for await command in commands { begin(command) }
    }

    private func begin(_ command: Command) {
        if command.verb == "cancel" {
            state.withLock { $0.tasks[command.number("request")] }?.cancel()
            Conversation.say([:], id: command.id)
            return
        }
        let owner = state.withLock { state in
            let owner = state.owners[command.owner] ?? LockOwner()
            state.owners[command.owner] = owner
            return owner
        }
        let task = Task {
            do {
                // Only an owner of its own caches what a body of `with…Lock` had.
                let answer =
                    command.verb == "cycle"
                    ? try await self.cycle(command)
                    : try await owner.withOwner { try await self.answer(command) }
                Conversation.say(answer, id: command.id)
            } catch {
                Conversation.say(fields(of: error, waited: command.duration("wait_ms")), id: command.id)
            }
            self.state.withLock { $0.tasks[command.id] = nil }
        }
        state.withLock { $0.tasks[command.id] = task }
    }

    private func answer(_ command: Command) async throws -> Fields {
        switch command.verb {
        case "acquire":
            guard let name = command.name else { return ["error": "invalid"] }
            let held = Held(try await acquire(client.lock(name), command))
            state.withLock { $0.held[command.id] = held }
            report(held, command.id)
            return held.facts
        case "release":
            let held = state.withLock { $0.held.removeValue(forKey: command.number("grant")) }
            guard let grant = held?.grant.take() else { return ["error": "not-held"] }
            try await grant.release()
            return [:]
        case "status", "list", "watch", "validate": return try await look(command)
        default: return try await change(command)
        }
    }

    private func cycle(_ command: Command) async throws -> Fields {
        guard let name = command.name else { return ["error": "invalid"] }
        let lock = client.lock(name)
        for _ in 0..<command.number("times") {
            if command.text("mode") == "read" {
                try await lock.withReadLock {}
            } else {
                try await lock.withWriteLock {}
            }
        }
        return [:]
    }

    private func acquire(_ lock: RWLock, _ command: Command) async throws -> Grant {
        let (timeout, lease) = (command.duration("wait_ms"), command.duration("lease_ms"))
        let note = command.text("note")
        return switch command.text("mode") {
        case "read": try await lock.acquireRead(timeout: timeout, lease: lease, note: note)
        case "update": try await lock.acquireUpdate(timeout: timeout, lease: lease, note: note)
        default: try await lock.acquireWrite(timeout: timeout, lease: lease, note: note)
        }
    }

    private func report(_ held: Held, _ id: Int) {
        guard let watch = held.grant?.lossWatch else { return }
        Task {
            if let lost = await watch.lost() {
                Conversation.say(["reason": "\(lost.cause)"], event: ("lost", id))
            }
        }
    }

    private func change(_ command: Command) async throws -> Fields {
        guard let held = state.withLock({ $0.held[command.number("grant")] }) else {
            return ["error": "not-held"]
        }
        switch command.verb {
        case "upgrade": try await held.grant?.upgrade(timeout: command.duration("wait_ms"))
        case "downgrade":
            try await held.grant?.downgrade(to: command.text("mode") == "read" ? .read : .update)
        case "renew": try await held.grant?.renew(lease: command.duration("lease_ms"))
        case "check":
            if let lost = held.grant?.lost { throw lost }
            guard let lock = held.grant?.lock, let token = held.grant?.token else { break }
            if try await !client.lock(lock).validate(token) { return ["error": "lost"] }
        default: return ["error": "unknown-command"]
        }
        return held.facts
    }

    private func look(_ command: Command) async throws -> Fields {
        if command.verb == "list" {
            let locks = try await client.list(prefix: command.text("prefix"))
            return ["names": locks.map(\.name.text).joined(separator: " ")]
        }
        if command.verb == "watch" {
            let events = try await client.watch(prefix: command.text("prefix"))
            Task { for try await event in events { tell(event, command.id) } }
            return [:]
        }
        guard let name = command.name else { return ["error": "invalid"] }
        if command.verb == "validate" {
            guard let number = UInt64(command.text("token")) else { return ["error": "invalid"] }
            return ["valid": try await client.lock(name).validate(Token(rawValue: number)) ? "1" : "0"]
        }
        let status = try await client.status(of: name)
        let holders = status.holders.map { "\($0.processID ?? 0)/\($0.mode)/\($0.token)/\($0.note)" }
        let waiters = status.waiters.map { "\($0.processID ?? 0)/\($0.mode)/\($0.note)" }
        return ["holders": holders.joined(separator: " "), "waiters": waiters.joined(separator: " ")]
    }

    private func tell(_ event: LockEvent, _ id: Int) {
        switch event {
        case .missed(let count): Conversation.say(["count": "\(count)"], event: ("missed", id))
        case .changed(let change):
            var fields = ["name": change.name.text, "what": "\(change.change)", "mode": "\(change.mode)"]
            fields["token"] = change.token.map { "\($0)" } ?? "-"
            Conversation.say(fields, event: ("change", id))
        }
    }
}
