import LockVocabulary
import LockWire
import Posix
import Rendezvous

/// Whether a daemon answers, what it is, and why it does not.
extension DoctorFacts {
    var reachFindings: [Finding] {
        switch daemon {
        case .answers(let facts): facts.identity + unitFindings
        case .asleep:
            [
                .ok(
                    "daemon", "no process serves at the moment: systemd listens at \(place.path)",
                    [("answers", .bool(false))])
            ] + unitFindings
        case .unreachable(let error): [unreachable(because: error)] + unitFindings
        case .failed(let reason):
            [
                .fault(
                    "daemon", reason, do: ["prwlock log -n 20", "prwlock ping"],
                    [("answers", .bool(false))])
            ] + unitFindings
        }
    }

    private func unreachable(because error: RendezvousError) -> Finding {
        let members: [(String, JSON)] = [("answers", .bool(false)), ("socket", .string(place.path))]
        // This program forbids the start, not the user.
        if case .startForbidden = error, !isStartForbidden { return absent(members) }
        let advice = advice(for: error)
        let (text, rest) = error.description.parted(at: ": ")
        if advice.isInDescription, let rest {
            return .fault("daemon", text, do: advice.commands.isEmpty ? [rest] : advice.commands, members)
        }
        return .fault("daemon", error.description, do: advice.commands, members)
    }

    private var isStartForbidden: Bool {
        client.variables.contains { $0.name == "PRWLOCK_AUTOSTART" && $0.value == "0" }
    }

    /// No daemon runs, and the first request would start one.
    private func absent(_ members: [(String, JSON)]) -> Finding {
        if let limit = client.lowLimit {
            return .fault(
                "daemon", "no daemon runs, and one that this process starts would inherit its \(limit)",
                do: ["prwlock ping   # in a shell without this limit"], members)
        }
        guard let program else {
            return .fault(
                "daemon", "no daemon runs, and no program that could be started was found",
                meaning: "A program counts only if no other user could replace it.",
                do: ["install prwlockd in /usr/bin, or name it in PRWLOCK_DAEMON"], members)
        }
        return .ok("daemon", "no daemon runs; the first request starts \(program.path)", members)
    }

    /// Commands that help, and whether the error's description also ends with advice, behind a colon.
    private func advice(for error: RendezvousError) -> (commands: [String], isInDescription: Bool) {
        switch error {
        case .noAnswer(let daemon):
            guard let process = daemon.processID else { return (["prwlock log -n 20"], true) }
            return (
                daemon.isStopped ? ["kill -CONT \(process)"] : ["prwlock log -n 20", "ps -fp \(process)"],
                true
            )
        case .notRunning(let location) where location.origin == .system:
            return units?.socket.isInstalled == true
                ? (["systemctl enable --now prwlockd.socket"], true)
                : (["install the service, or remove what it has left: rmdir /run/prwlock"], true)
        case .notRunning(let location) where location.origin == .environment:
            return (["prwlockd --socket \(location.path)   # or: unset PRWLOCK_SOCKET"], true)
        case .notRunning(let location): return (["prwlockd --socket \(location.path)"], true)
        case .startForbidden: return (["unset PRWLOCK_AUTOSTART   # or start it: prwlockd"], true)
        case .untrustedServer(_, let user, _):
            return (["export PRWLOCK_SERVER_UID=\(user)   # only if you trust this user"], true)
        case .servedElsewhere(let holder): return (holder.processID.map { ["ps -fp \($0)"] } ?? [], false)
        case .turnedAway: return (["prwlock sessions   # as a user that may still connect"], false)
        case .startLockHeld(let path, _): return (["fuser -v \(path)"], false)
        case .system: return (["correct what this error names, then: prwlock ping"], false)
        case .unsafeDirectory(let path, _):
            return (["as root: rm -r \(path)   # or name another place in PRWLOCK_SOCKET"], true)
        case .notPermitted, .slowStart, .stranger, .untrustedPath, .notASocket,
            .alreadyServed,
            .noProgram, .untrustedProgram, .limitTooLow, .endedAtStart:
            return ([], true)
        }
    }
}

extension String {
    /// The text before the first separator, and the text behind it; nil if there is no separator.
    fileprivate func parted(at separator: String) -> (String, rest: String?) {
        guard let place = firstRange(of: separator) else { return (self, nil) }
        return (String(self[..<place.lowerBound]), String(self[place.upperBound...]))
    }
}

/// What an answering daemon is.
extension DaemonFacts {
    fileprivate var identity: [Finding] {
        var members: [(String, JSON)] = [
            ("answers", .bool(true)), ("server", .string(server)), ("socket", .string(socket)),
            ("round_trip_us", .integer(Int(roundTrip.wholeNanoseconds / 1000))),
        ]
        members += DaemonUnit.members(of: unit)
        let time = roundTrip.wholeNanoseconds / 1000
        var findings: [Finding] = [
            .ok("daemon", "\(server) answers at \(socket) in \(time) µs", members)
        ]
        if let unit { findings.append(home(of: unit)) }
        return findings
    }

    private func home(of unit: DaemonUnit) -> Finding {
        let members: [(String, JSON)] = [("unit", .optional(unit.unit))]
        switch unit.owner {
        case .systemUnit(let name) where isOwn && !name.hasPrefix("prwlockd"),
            .userUnit(let name, _) where isOwn && !name.hasPrefix("prwlockd"):
            return .warning(
                "home", unit.line, meaning: "All locks of the user end then.",
                do: [
                    "install the service, or let the user linger: loginctl enable-linger",
                    "let a new daemon start, when no lock is held: kill \(unit.process)   # \(name) has started this one",
                ], members)
        case .session: return .note("home", unit.line, members)
        case .systemUnit, .userUnit, nil: return .ok("home", unit.line, members)
        }
    }
}
