import ArgumentParser
import LockVocabulary
import LockWire
import PRWLock

/// `prwlock list`: the locks that are held, waited for or marked.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List locks, in the order of their names.",
        discussion: "A free lock that no request waits for is listed only if its last writer died.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var names: PrefixOptions

    func run() throws {
        try complaining { () throws(Complaint) in
            var connection = try daemon.choice.connect()
            let isInFleet = try show.json ? false : isInFleet(connection: &connection)
            let claim = isInFleet ? [Table.Column("CLAIMED BY", expendability: 2)] : []
            var listing = Listing(
                [
                    .init("MODE"), .init("HOLDERS", isNumber: true), .init("WAITING", isNumber: true),
                    .init("LAST WRITER", expendability: 1),
                ] + claim + [.init("NAME", mayBeCut: true)], show)
            _ = try connection.ask(.list(prefix: names.prefix, after: nil, limit: nil)) { row in
                if case .lock(let lock) = row { listing.add(lock.cells(withClaim: isInFleet), lock.json) }
            }
            listing.finish(orPrint: "no locks")
            LockSpace(of: connection).printRemark(show)
        }
    }

    /// Whether the daemon shares locks with other hosts.
    private func isInFleet(connection: inout BlockingConnection) throws(Complaint) -> Bool {
        var isInFleet = false
        _ = try connection.ask(.stats) { row in
            if case .stat("cluster-claims", _) = row { isInFleet = true }
        }
        return isInFleet
    }
}

/// `prwlock sessions`: the connected clients.
struct SessionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions", abstract: "List the clients that are connected.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        var listing = Listing(
            [
                .init("SESSION", isNumber: true), .init("PID", isNumber: true), .init("USER"),
                .init("GRANTS", isNumber: true), .init("WAITING", isNumber: true), .init("FOR"),
                .init("CLIENT", mayBeCut: true, expendability: 2),
                .init("UNIT", mayBeCut: true, expendability: 1), .init("COMMAND", mayBeCut: true),
            ], show)
        let space = try complaining { () throws(Complaint) in
            var connection = try daemon.choice.connect()
            let facts = try ProcessDescription.lookup(over: &connection)
            _ = try connection.ask(.sessions) { row in
                if case .session(let session) = row {
                    let process = facts(session.processID)
                    listing.add(session.cells(process), session.json(process))
                }
            }
            return LockSpace(of: connection)
        }
        listing.finish(orPrint: "no sessions")
        space.printRemark(show)
    }
}

extension Row.Lock {
    func cells(withClaim: Bool) -> [String] {
        let writer = ownerDied.map { $0 == .yes ? "died" : "may have died" }
        let claimed = claim.flatMap { claim in
            claim.host.map { "\($0) (\(claim.mode.map { "\($0)" } ?? "none"))" }
        }
        return [mode?.description ?? "", String(holders), String(waiters), writer ?? ""]
            + (withClaim ? [claimed ?? ""] : []) + [name.shown]
    }

    var json: JSON {
        var members: [(String, JSON)] = [
            ("name", .string(name.decoded)), ("encoded", .string(name.text)),
            ("mode", .optional(mode?.description)),
            ("holders", .integer(holders)),
            ("waiters", .integer(waiters)), ("owner_died", .bool(ownerDied != nil)),
        ]
        if let claim {
            members.append(("owner_died_is_unsure", .bool(ownerDied == .maybe)))
            members.append(("claim", .optional(claim.mode?.description)))
            members.append(("claim_host", .optional(claim.host?.text)))
        }
        return .object(members)
    }
}

extension Row.Session {
    func cells(_ process: ProcessDescription) -> [String] {
        [
            String(id), processID.map(String.init) ?? "?", ProcessDescription.userName(userID),
            String(grants),
            String(waiters), age.inWords, Harmless.show(NameAlphabet.decodeBytes(client.text)),
            process.unit ?? "",
            process.command ?? "",
        ]
    }

    func json(_ process: ProcessDescription) -> JSON {
        .object([
            ("id", .unsigned(id)), ("pid", .optional(processID)), ("uid", .integer(Int(userID))),
            ("client", .note(client)), ("grants", .integer(grants)), ("waiters", .integer(waiters)),
            ("age_ms", .milliseconds(age)), ("user", .string(ProcessDescription.userName(userID))),
            ("unit", .optional(process.unit)), ("command", .optional(process.command)),
        ])
    }
}
