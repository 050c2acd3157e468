/// What the counters of the daemon say of limits, of lost entries, and of the fleet.
extension DoctorFacts {
    var counterFindings: [Finding] {
        guard case .answers(let daemon) = daemon else { return [limits(of: nil)] }
        return [limits(of: daemon)] + daemon.nearLimits + daemon.losses(program) + daemon.fleet
    }

    /// The limits of both sides.
    private func limits(of daemon: DaemonFacts?) -> Finding {
        var members: [(String, JSON)] = [
            ("own_descriptors", JSON.limit(client.descriptors)),
            ("own_processes", JSON.limit(client.processes)),
        ]
        let own = "this process may open \(client.descriptors.map { "\($0)" } ?? "any number of") descriptors"
        guard let daemon else { return .ok("limits", own, members) }
        let shares = DaemonFacts.bounded.compactMap { name -> String? in
            guard let number = daemon.counters[name] else { return nil }
            members.append((JSON.key(name), .integer(number)))
            guard let most = daemon.counters["max-\(name)"] else { return DaemonFacts.count(number, name) }
            members.append((JSON.key("max-\(name)"), .integer(most)))
            return "\(number) of \(most) \(name)"
        }
        if let descriptors = daemon.descriptors {
            members.append(("daemon_descriptors", .integer(descriptors)))
        }
        return .ok("limits", "the daemon has \(shares.joined(separator: ", ")); \(own)", members)
    }
}

extension JSON {
    fileprivate static func limit(_ value: UInt64?) -> JSON { value.map(JSON.unsigned) ?? .null }
}

extension DaemonFacts {
    /// The counters with a limit.
    fileprivate static let bounded = ["sessions", "grants", "waiters"]

    /// The number and the noun, which is a plural with `s`.
    fileprivate static func count(_ number: Int, _ nouns: String) -> String {
        "\(number) \(number == 1 ? String(nouns.dropLast()) : nouns)"
    }

    /// Limits of which four fifths are used.
    fileprivate var nearLimits: [Finding] {
        var findings = Self.bounded.compactMap { name -> Finding? in
            guard let number = counters[name], let most = counters["max-\(name)"], most > 0,
                number >= most / 5 * 4
            else { return nil }
            return .warning(
                "near-limit", "\(number) of at most \(most) \(name) are in use",
                meaning: "Further requests are refused at the limit.",
                do: ["prwlock sessions   # who has them", "prwlockd(8): --max-\(name), or a rule `limit`"],
                [("limit", .string(name)), ("number", .integer(number)), ("most", .integer(most))])
        }
        if let descriptors, let sessions = counters["sessions"], sessions >= descriptors / 5 * 4 {
            findings.append(
                .warning(
                    "near-limit",
                    "\(sessions) sessions use most of the \(descriptors) descriptors that the daemon may open",
                    meaning: "Further clients wait in the backlog.",
                    do: ["raise LimitNOFILE= of prwlockd.service, or ulimit -n where the daemon is started"],
                    [
                        ("limit", .string("descriptors")), ("number", .integer(sessions)),
                        ("most", .integer(descriptors)),
                    ]))
        }
        return findings
    }

    /// What went wrong since the daemon's start.
    fileprivate func losses(_ program: ProgramFacts?) -> [Finding] {
        var findings: [Finding] = []
        if let count = counters["total-fatal-lines"], count > 0 {
            findings.append(
                .warning(
                    "fatal-lines",
                    "\(count == 1 ? "1 session was" : "\(count) sessions were") cut off, because a line of theirs crashed the process that serves",
                    meaning: "This is a fault of the daemon. All other sessions went on.",
                    do: ["prwlock log   # names the client; please report it with what that client sends"],
                    [("total_fatal_lines", .integer(count))]))
        }
        if let fault = program?.configurationFault {
            findings.append(
                .warning(
                    "configuration", "the options or rules on disk have a fault: \(fault)",
                    meaning: "The daemon serves with the last good ones. A reload is refused.",
                    do: ["correct it", "prwlockd --check-config && systemctl reload prwlockd"]))
        } else if let count = counters["total-refused-reloads"], count > 0 {
            let members: [(String, JSON)] = [("total_refused_reloads", .integer(count))]
            let times = count == 1 ? "a reload was refused" : "\(count) reloads were refused"
            findings.append(
                program?.isChecked == true
                    ? .note(
                        "configuration", "\(times), and the options and rules on disk are correct now",
                        members)
                    : .warning(
                        "configuration", "\(times), because options or rules had a fault",
                        meaning: "The daemon serves with the former ones.",
                        do: [
                            "prwlockd --check-config   # with the daemon's own options", "prwlock log -n 20",
                        ], members))
        } else if program?.isChecked == true {
            findings.append(.ok("configuration", "the options and rules on disk have no fault"))
        }
        if let count = counters["total-lost-entries"], count > 0 {
            findings.append(
                .note(
                    "lost-entries",
                    "\(count) \(count == 1 ? "entry of the log was" : "entries of the log were") lost, because the journal took none for a while",
                    meaning: "No lock was affected: the daemon never waits for the journal.",
                    [("total_lost_entries", .integer(count))]))
        }
        if let count = counters["marks"], count > 0 {
            findings.append(
                .note(
                    "marks",
                    count == 1 ? "the last writer of 1 lock died" : "the last writers of \(count) locks died",
                    meaning:
                        "Each later grant has a mark (ownerdied), until a writer has released the lock. `prwlock list` names them.",
                    [("marks", .integer(count))]))
        }
        return findings
    }

    /// The fleet, if the daemon shares names with other hosts.
    fileprivate var fleet: [Finding] {
        guard let claims = counters["cluster-claims"] else { return [] }
        let left = counters["cluster-lease-left"] ?? 0
        let members: [(String, JSON)] = [
            ("cluster_claims", .integer(claims)), ("cluster_lease_left_ms", .integer(left)),
            ("cluster_reachable", .bool(counters["cluster-reachable"] != 0)),
            ("total_lost_leases", .integer(counters["total-lost-leases"] ?? 0)),
        ]
        var findings: [Finding] = []
        if counters["cluster-reachable"] == 0 {
            findings.append(
                .fault(
                    "fleet", "the cluster of etcd has not answered for the time of a lease",
                    meaning:
                        "Requests for shared names are refused (cluster-unavailable). All other names are served.",
                    do: ["etcdctl endpoint status --cluster", "etcdctl alarm list", "prwlock log -n 20"],
                    members))
        } else {
            findings.append(
                .ok(
                    "fleet",
                    "this host claims \(DaemonFacts.count(claims, "shared names")); its lease counts for another \(left) ms",
                    members))
        }
        if let lost = counters["total-lost-leases"], lost > 0 {
            findings.append(
                .note(
                    "lost-leases",
                    lost == 1
                        ? "the lease at the cluster was lost once"
                        : "the lease at the cluster was lost \(lost) times",
                    meaning:
                        "All grants on shared names ended then. If the network is away for longer at times, raise --cluster-lease."
                ))
        }
        return findings
    }
}
