/// The units of the daemon: whether they are installed, enabled, and as systemd has read them.
extension DoctorFacts {
    var unitFindings: [Finding] {
        guard let units, units.isOfUser || place.rule == .service else { return [] }
        let control = units.isOfUser ? "systemctl --user" : "systemctl"
        guard units.socket.isInstalled || units.service.isInstalled else {
            guard !units.isOfUser else { return [] }
            return [
                .warning(
                    "unit", "/run/prwlock exists, and systemd has no unit prwlockd.socket",
                    meaning: "All clients use the service because of this folder.",
                    do: ["install the service, or remove what it has left: rmdir /run/prwlock"])
            ]
        }
        var findings = [units.state(control)] + units.faults(control)
        // Both would give the same advice.
        if case .unreachable = daemon { findings.removeAll { $0.topic == "socket" } }
        return findings
    }
}

extension UnitFacts {
    fileprivate func state(_ control: String) -> Finding {
        let members: [(String, JSON)] = [
            ("service", .string(service.active)), ("socket", .string(socket.active)),
            ("enabled", .string(socket.file)), ("watchdog", .optional(service.watchdog)),
        ]
        let watchdog = service.watchdog.map { "; systemd replaces it if it hangs for \($0)" } ?? ""
        guard service.active == "failed" else {
            return .ok(
                "unit",
                "prwlockd.service is \(service.active), prwlockd.socket is \(socket.active)\(watchdog)",
                members)
        }
        return .fault(
            "unit", "prwlockd.service has failed (\(service.result)), and systemd does not start it again",
            meaning: "Clients get an error until a person has corrected the fault that its log names.",
            do: ["prwlock log -n 20", "\(control) start prwlockd.socket"], members)
    }

    fileprivate func faults(_ control: String) -> [Finding] {
        var findings: [Finding] = []
        if !socket.isActive, service.active != "failed" {
            findings.append(
                .fault(
                    "socket", "prwlockd.socket is \(socket.active)", meaning: "No client can connect.",
                    do: ["\(control) enable --now prwlockd.socket"]))
        } else if socket.file == "disabled" {
            findings.append(
                .warning(
                    "boot", "prwlockd.socket is not enabled: it does not start at boot",
                    do: ["\(control) enable prwlockd.socket"]))
        }
        if service.needsReload || socket.needsReload {
            findings.append(
                .warning(
                    "unit-file", "the files of the units have changed since systemd read them",
                    do: ["\(control) daemon-reload"]))
        }
        // systemd shows the time only of a service that runs.
        if service.isActive, service.watchdog == nil {
            findings.append(
                .note(
                    "watchdog", "prwlockd.service has no watchdog",
                    meaning:
                        "A daemon that hangs stays, and clients wait. The shipped unit has WatchdogSec=10s."))
        }
        return findings
    }
}
