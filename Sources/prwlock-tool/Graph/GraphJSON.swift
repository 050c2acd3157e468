import LockVocabulary
import LockWire
import PRWLock

/// A graph for programs: all locks and processes, without an omission for readability. Durations are in milliseconds.
extension WaitGraph {
    func json(_ findings: WaitFindings) -> JSON {
        .object([
            ("locks", .array(locks.map(json))),
            ("processes", .array(parties.indices.map { json(ofParty: $0, findings) })),
            ("blocks_most", .optional(findings.worst.flatMap { processID(of: $0) })),
            ("oldest_wait", findings.oldest.map(jsonOfWait) ?? .null),
            ("longest_chain", .array(findings.chain.map(json))),
            ("has_more_locks", .bool(isCut)),
        ])
    }

    /// Which end of a grant or a request its JSON names: the one that it does not stand in.
    private enum Other { case lock, party }

    private func json(_ lock: Lock) -> JSON {
        .object(
            members(of: lock.name) + [
                ("holder_count", .integer(lock.holders)), ("waiter_count", .integer(lock.waiters)),
                ("holders", .array(lock.grants.map { json(grants[$0], of: .party) })),
                ("waiters", .array(lock.waits.map { json(waits[$0], of: .party) })),
            ])
    }

    private func json(ofParty index: Int, _ findings: WaitFindings) -> JSON {
        let party = parties[index]
        return .object(
            members(of: party) + party.process.json + [
                ("blocks", .integer(findings.blocked[index].count)),
                ("blocked_ms", .milliseconds(findings.blocked[index].waited)),
                ("holds", .array(party.grants.map { json(grants[$0], of: .lock) })),
                ("waits", .array(party.waits.map { json(waits[$0], of: .lock) })),
            ])
    }

    private func json(_ grant: Grant, of other: Other) -> JSON {
        .object(
            (other == .lock ? members(of: locks[grant.lock].name) : members(of: parties[grant.party])) + [
                ("mode", .string(grant.mode.description)), ("age_ms", .milliseconds(grant.age)),
                ("lease_left_ms", .milliseconds(grant.leaseLeft)), ("note", .note(grant.note)),
                ("token", grant.token.map(JSON.token) ?? .null),
            ])
    }

    private func jsonOfWait(_ index: Int) -> JSON {
        let wait = waits[index]
        return .object(
            members(of: locks[wait.lock].name) + members(of: parties[wait.party]) + members(of: wait))
    }

    private func json(_ wait: Wait, of other: Other) -> JSON {
        .object(
            (other == .lock ? members(of: locks[wait.lock].name) : members(of: parties[wait.party]))
                + members(of: wait))
    }

    private func members(of wait: Wait) -> [(String, JSON)] {
        let timeout: Duration? = if case .upTo(let timeout) = wait.timeout { timeout } else { nil }
        return [
            ("mode", .string(wait.mode.description)), ("place", .integer(wait.place)),
            ("waited_ms", .milliseconds(wait.waited)), ("timeout_ms", .milliseconds(timeout)),
            ("note", .note(wait.note)),
        ]
    }

    private func json(_ step: WaitFindings.Step) -> JSON {
        let (wait, grant) = (waits[step.wait], grants[step.grant])
        return .object(
            members(of: locks[wait.lock].name) + [
                ("pid", .optional(processID(of: wait.party))),
                ("held_by", .object(members(of: parties[grant.party]))),
            ])
    }

    private func members(of name: LockName) -> [(String, JSON)] {
        [("name", .string(name.decoded)), ("encoded", .string(name.text))]
    }

    private func members(of party: Party) -> [(String, JSON)] {
        switch party.identity {
        case .process(let process): [("pid", .integer(Int(process)))]
        case .unknown: [("pid", .null)]
        case .host(let host): [("host", .string(host.text))]
        }
    }

    private func processID(of party: Int) -> Int32? {
        if case .process(let process) = parties[party].identity { process } else { nil }
    }
}
