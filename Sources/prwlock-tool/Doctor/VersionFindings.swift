import LockVocabulary
import LockWire

/// The versions of the daemon, of this program and of the programs on disk.
extension DoctorFacts {
    var versionFindings: [Finding] {
        var findings: [Finding] = []
        if case .answers(let daemon) = daemon {
            findings += [versions(daemon), pendingUpgrade(daemon)].compactMap(\.self)
        }
        if let other = client.otherOnPath {
            findings.append(
                .note(
                    "path",
                    "the first prwlock on PATH is \(other), another program than this one"
                        + (client.program.map { " (\($0))" } ?? ""),
                    meaning:
                        "The Python package has such a command, too. `prwlock --version` says which one it is.",
                    [("first", .string(other))]))
        }
        if client.isContained {
            findings.append(
                .note(
                    "container", "this process seems to be in a container",
                    meaning: "It shares locks with the host only if a socket of the host is mounted into it.")
            )
        }
        return findings
    }

    private func versions(_ daemon: DaemonFacts) -> Finding {
        let own = "prwlock/\(Release.version)"
        let members: [(String, JSON)] = [
            ("server", .string(daemon.server)), ("client", .string(own)),
            ("protocol", .integer(daemon.protocolVersion)),
            ("ledger_format", daemon.counters["ledger-format"].map(JSON.integer) ?? .null),
        ]
        guard daemon.protocolVersion == Reply.protocolVersion else {
            return .fault(
                "versions",
                "the daemon speaks version \(daemon.protocolVersion) of the protocol, and \(own) version "
                    + "\(Reply.protocolVersion)", do: ["install both from one release"], members)
        }
        guard daemon.server == "prwlockd/\(Release.version)" else {
            return .note(
                "versions", "\(daemon.server) serves, and this is \(own)",
                meaning:
                    "Both speak version \(daemon.protocolVersion) of the protocol. The older one lacks what is new in the other.",
                members)
        }
        return .ok(
            "versions",
            "\(own) and \(daemon.server) are of one release, with protocol version \(daemon.protocolVersion)",
            members)
    }

    /// Another program is on disk than the one that serves.
    private func pendingUpgrade(_ daemon: DaemonFacts) -> Finding? {
        guard let program else { return nil }
        let isOtherVersion = program.version.map { daemon.server != "prwlockd/\($0)" } ?? false
        guard daemon.isReplaced == true || isOtherVersion else { return nil }
        let there =
            isOtherVersion ? program.version.map { "prwlockd/\($0)" } ?? "another one" : "another build of it"
        let members: [(String, JSON)] = [
            ("on_disk", .optional(program.version)), ("program", .string(program.path)),
        ]
        let text = "\(daemon.server) serves, and \(there) is now at \(program.path)"
        guard daemon.counters["restarts"] != nil else {
            return .note(
                "upgrade", text,
                meaning:
                    "The daemon has no --keep, so an upgrade ends its sessions. The next start takes the new program.",
                members)
        }
        return .warning(
            "upgrade", text, meaning: "An upgrade ends no session and no lock.",
            do: ["prwlock upgrade   # as root or as the daemon's user"],
            members)
    }
}
