import LockVocabulary
import LockWire

/// The promises of protocol.md that need the kernel, the options or the files of the daemon, and whether they hold.
extension DoctorFacts {
    var promiseFindings: [Finding] {
        var findings = [kernel.finding] + kernel.missing(isWatched: watches)
        guard case .answers(let daemon) = daemon else { return findings }
        findings += [watching(daemon), daemon.keeping, daemon.tokens(place.rule)].compactMap(\.self)
        findings += [namespace(daemon), daemon.clock].compactMap(\.self)
        return findings
    }

    /// Whether the daemon can watch processes; nil if it did not say so.
    private var watches: Bool? {
        guard case .answers(let daemon) = daemon else { return nil }
        return daemon.counters["process-watches"].map { $0 == 1 }
    }

    /// G6: a dead process holds nothing.
    private func watching(_ daemon: DaemonFacts) -> Finding? {
        guard let watches else { return nil }
        let members: [(String, JSON)] = [("process_watches", .bool(watches))]
        if watches {
            return .ok(
                "death", "the daemon watches processes: a death ends the sessions of a process (G6)", members)
        }
        let cause =
            kernel.opensProcesses || kernel.asksSockets
            ? "allow pidfd_open(2) in the seccomp filter or the sandbox of the daemon"
            : "Linux 5.3 or later, or allow pidfd_open(2) in the seccomp filter of the container"
        return .warning(
            "death", "the daemon cannot watch processes",
            meaning:
                "A session ends only when all processes that have its socket have closed it: a child that is left keeps "
                + "the locks of a dead parent (G6).", do: [cause], members)
    }

    /// What process ids mean.
    private func namespace(_ daemon: DaemonFacts) -> Finding? {
        guard let number = daemon.counters["pid-namespace"], let own = client.namespace,
            number != Int(clamping: own)
        else { return nil }
        return .note(
            "pid-namespace", "the daemon is in another namespace of process ids",
            meaning:
                "A pid that it names is another process here, or none; so tables show no user, unit or command.",
            [("daemon", .integer(number)), ("own", .integer(Int(clamping: own)))])
    }
}

extension KernelFacts {
    fileprivate var members: [(String, JSON)] {
        [
            ("release", .string(release)), ("pidfd_open", .bool(opensProcesses)),
            ("so_peerpidfd", .bool(asksSockets)), ("so_peergroups", .bool(showsGroups)),
            ("sealed_memory", .bool(sealsMemory)),
        ]
    }

    fileprivate var finding: Finding {
        let names = [
            ("pidfd_open", opensProcesses), ("SO_PEERPIDFD", asksSockets), ("SO_PEERGROUPS", showsGroups),
            ("sealed memory", sealsMemory),
        ]
        let there = names.filter(\.1).map(\.0)
        let has = there.isEmpty ? "none of what locks can use" : there.joined(separator: ", ")
        return .ok("kernel", "Linux \(release) permits \(has)", members)
    }

    /// A finding for each thing that the kernel lacks, with the promise that depends on it.
    fileprivate func missing(isWatched: Bool?) -> [Finding] {
        var findings: [Finding] = []
        if !opensProcesses, isWatched == nil, !asksSockets {
            findings.append(
                .warning(
                    "pidfd", "this process may not call pidfd_open(2)",
                    meaning:
                        "A daemon with the same sandbox cannot watch processes: a child that is left would keep the locks of "
                        + "a dead parent (G6).",
                    do: ["Linux 5.3 or later, or allow pidfd_open(2) in the seccomp filter"]))
        }
        if !asksSockets {
            findings.append(
                .note(
                    "peer-pidfd", "SO_PEERPIDFD is missing (Linux 6.5)",
                    meaning:
                        "If a process id is used again at the wrong moment, a session ends late, with the other process (G6). "
                        + "Rules with unit= or exe= are refused."))
        }
        if !showsGroups {
            findings.append(
                .note(
                    "peer-groups", "SO_PEERGROUPS is missing (Linux 4.13)",
                    meaning: "Rules with group= see only the first group of a process."))
        }
        if !sealsMemory {
            findings.append(
                .note(
                    "memory", "memfd_create(2) with seals is refused",
                    meaning:
                        "No lock is cached, so each acquire asks the daemon; and --keep, with the promise that no lock ends with "
                        + "the process that serves (G14), needs it."))
        }
        return findings
    }
}

extension DaemonFacts {
    /// G14: no session ends with the process that serves.
    fileprivate var keeping: Finding {
        guard let restarts = counters["restarts"] else {
            return .note(
                "keep", "the daemon runs without --keep",
                meaning: "A crash of the daemon and an upgrade end all sessions and locks (no G14)."
                    + (isOwn ? " A daemon that a client starts has no --keep." : ""), [("keep", .bool(false))]
            )
        }
        let times = restarts == 1 ? "once" : "\(restarts) times"
        let history = restarts == 0 ? "" : "; another process began to serve \(times), by upgrades or crashes"
        return .ok(
            "keep", "the daemon runs with --keep: locks outlive the process that serves (G14)\(history)",
            [("keep", .bool(true)), ("restarts", .integer(restarts))])
    }

    /// G7: tokens rise.
    fileprivate func tokens(_ rule: PlaceFacts.Rule) -> Finding? {
        guard let files = counters["token-files"] else { return nil }
        let members: [(String, JSON)] = [
            ("token_files", .integer(files)), ("tokens_left", .integer(counters["tokens-left"] ?? 0)),
        ]
        if counters["tokens-left"] == 0 {
            return .fault(
                "tokens", "the daemon has no tokens left, as its state directory takes no writes",
                meaning: "It grants nothing until it can write (G7); releases go on.",
                do: ["make room on that disk, or make it writable: prwlock log -n 20 names it"], members)
        }
        if isOwn, files == 1 {
            return .warning(
                "tokens",
                "the daemon remembers tokens in one file of two: it cannot use the home of its user",
                meaning: "If that one is lost, and the clock was set back, tokens may repeat (G7).",
                do: ["make the home writable: ~/.local/state/prwlock, or as prwlock log -n 20 names it"],
                members)
        }
        if files == 0 {
            return .warning(
                "tokens", "the daemon remembers its tokens in no file",
                meaning: "The next daemon may give the same tokens again (G7).",
                do: ["start it with --state-directory DIRECTORY"], members)
        }
        return .ok("tokens", "tokens are remembered over restarts and reboots (G7)", members)
    }

    /// The clock of grants on names that hosts share.
    fileprivate var clock: Finding? {
        guard hasOtherClock == true else { return nil }
        guard counters["cluster-claims"] != nil else {
            return .note(
                "clock", "the daemon is in another time namespace; locks of one host do not depend on it")
        }
        return .warning(
            "clock", "the daemon is in another time namespace",
            meaning: "This process may take its grants on shared names for ended too early, never too late.",
            do: ["run both in one time namespace"])
    }
}
