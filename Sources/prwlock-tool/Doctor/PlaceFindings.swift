import Posix
import Rendezvous

/// Which lock space this process uses, and whether it may.
extension DoctorFacts {
    var placeFindings: [Finding] {
        [place.space(of: daemon, client), place.leftover].compactMap(\.self) + folderFindings
            + [variables, neighbourhood].compactMap(\.self) + accessFindings
    }

    /// The variables that change where clients look for a daemon, and what they start.
    private var variables: Finding? {
        guard !client.variables.isEmpty else { return nil }
        let list = client.variables.map { "\($0.name)=\($0.value)" }
        return .note(
            "environment", "this process has \(list.joined(separator: " "))",
            meaning: "Another process may lack these variables, and use another daemon.",
            [("variables", .array(list.map(JSON.string)))])
    }

    /// Other users with lock spaces of their own.
    private var neighbourhood: Finding? {
        let others = neighbours.filter { $0 != client.user }
        guard !others.isEmpty else { return nil }
        let members: [(String, JSON)] = [("users", .array(others.map { .integer(Int($0)) }))]
        let shown = others.prefix(8).map(ProcessDescription.userName).joined(separator: ", ")
        let more = others.count > 8 ? " and \(others.count - 8) more" : ""
        let text =
            others.count == 1
            ? "a daemon of its own serves user \(shown)" : "daemons of their own serve users \(shown)\(more)"
        guard place.hasServiceDirectory else {
            return .note(
                "neighbours", text,
                meaning:
                    "One name is another lock for each user. The service gives all of them one lock space.",
                members)
        }
        return .note(
            "neighbours", "\(text), beside the service",
            meaning:
                "Each such daemon leaves when its last session ends; then the user's clients use the service.",
            members)
    }

    /// Folders in the user's places that others have made.
    private var folderFindings: [Finding] {
        // Then this is the reason, and it is told already.
        if case .unreachable(.unsafeDirectory) = daemon { return [] }
        return place.foreignFolders.map { folder in
            .warning(
                "folder", "\(folder) is not a folder of this user alone, so clients ignore a daemon in it",
                meaning: "Without the service, they cannot start a daemon there either.",
                do: ["as root: rm -r \(folder)"], [("folder", .string(folder))])
        }
    }

    private var accessFindings: [Finding] {
        var findings: [Finding] = []
        if let group = place.group { findings.append(group.finding(client)) }
        let hasTrusted = client.variables.contains { $0.name == "PRWLOCK_SERVER_UID" }
        var isTold = false
        if case .unreachable(.untrustedServer) = daemon { isTold = true }
        if let part = place.replaceablePart, !hasTrusted, !isTold {
            findings.append(
                .warning(
                    "trust", "another user could put another socket at \(place.path): \(part)",
                    meaning: "Clients trust no server of another user there, so they would fail.",
                    do: ["move the socket to a folder that only its owner may write to"]))
        } else if case .answers(let daemon) = daemon, let server = daemon.user {
            findings.append(.ok("trust", trust(in: server), [("server_uid", .integer(Int(server)))]))
        }
        return findings
    }

    private func trust(in server: UInt32) -> String {
        let name = ProcessDescription.userName(server)
        if server == client.user { return "the server runs as \(name), as this process does" }
        if server == 0 { return "the server runs as root" }
        let named = client.variables.first { $0.name == "PRWLOCK_SERVER_UID" }?.value
        if named.flatMap(UInt32.init) == server {
            return "the server runs as \(name), which PRWLOCK_SERVER_UID names"
        }
        return "the server runs as \(name), and root has put its socket there"
    }
}

extension PlaceFacts {
    fileprivate func space(of daemon: DaemonOutcome, _ client: ClientFacts) -> Finding {
        let members: [(String, JSON)] = [
            ("socket", .string(path)), ("rule", .string(rule.word)),
            ("has_service", .bool(hasServiceDirectory)),
        ]
        switch rule {
        case .option:
            return .ok(
                "space", "--socket names \(path): all processes that use this socket share locks", members)
        case .variable:
            return .ok(
                "space", "PRWLOCK_SOCKET names \(path): all processes that use this socket share locks",
                members)
        case .service:
            return .ok(
                "space", "this host has the service: all users that may connect to \(path) share locks",
                members)
        case .own where hasServiceDirectory:
            return .warning(
                "space", "a daemon of \(client.userName) alone still serves at \(path), beside the service",
                meaning:
                    "It serves new sessions too, until its last one has ended. Other users do not see its locks.",
                do: ["prwlock sessions   # end these processes, and all further ones use the service"],
                members)
        case .own:
            return .ok(
                "space",
                "this host has no service: the processes of \(client.userName) share locks, at \(path), and no other user's do",
                members)
        }
    }

    fileprivate var leftover: Finding? {
        guard !leftovers.isEmpty else { return nil }
        return .note(
            "leftover", "no process listens at \(leftovers.joined(separator: ", "))",
            meaning: "A daemon was killed there. The next start removes the socket.",
            [("sockets", .array(leftovers.map(JSON.string)))])
    }
}

extension PlaceFacts.Rule {
    /// The word for programs.
    var word: String {
        switch self {
        case .option: "option"
        case .variable: "variable"
        case .service: "service"
        case .own: "own"
        }
    }
}

extension GroupFacts {
    fileprivate func finding(_ client: ClientFacts) -> Finding {
        let user = client.userName
        let members: [(String, JSON)] = [
            ("group", .string(name)), ("is_active", .bool(isActive)), ("is_listed", .bool(isListed)),
        ]
        if client.user == 0 {
            return .ok("access", "root may connect, and the members of group \(name)", members)
        }
        switch (isActive, isListed) {
        case (true, true): return .ok("access", "\(user) is in group \(name), and may connect", members)
        case (true, false):
            return .note(
                "access",
                "this process has group \(name), though the host's list of groups does not have \(user) in it",
                meaning: "A unit has given it the group, or \(user) was removed from it after the login.",
                members)
        case (false, true):
            return .fault(
                "access", "\(user) is in group \(name), and this process began before that",
                meaning: "A process gets its groups at login, so it may not connect.",
                do: ["log in again; until then: sg \(name) -c 'COMMAND'"], members)
        case (false, false):
            return .fault(
                "access", "\(user) is not in group \(name), and may not connect",
                do: [
                    "as root: adduser \(user) \(name)   # then log in again",
                    "for a service: SupplementaryGroups=\(name) in its unit",
                ], members)
        }
    }
}
