import Glibc
import Posix
import Rendezvous

extension UnitFacts {
    /// How long `systemctl` may take.
    private static let patience = Duration.seconds(5)

    /// Asks the system's manager for the units of the service, or this user's manager for those of the user's own daemon.
    /// Nil if the manager does not run or does not answer.
    init?(ofUser: Bool, in surroundings: Surroundings) {
        let runtime = surroundings.userRuntimeDirectory
        let mark = ofUser ? runtime + "/systemd/private" : surroundings.runtimeRoot + "/systemd/system"
        guard (try? FileStatus(following: mark)) != nil,
            let program = ProgramOutput.find("systemctl", in: surroundings)
        else { return nil }
        var environment = surroundings.environment
        // `cron` and `su` leave it unset, and `systemctl` does not find the manager without it.
        if ofUser { environment["XDG_RUNTIME_DIR"] = runtime }
        let arguments =
            (ofUser ? ["--user"] : []) + [
                "show", "--property=\(UnitState.properties.joined(separator: ","))",
            ]
            + ["prwlockd.socket", "prwlockd.service"]
        guard
            let (output, status) = ProgramOutput.of(
                program, arguments, environment: environment, by: Deadline(after: Self.patience)),
            status == 0
        else { return nil }
        let units = UnitState.read(output)
        self.init(
            service: units["prwlockd.service"] ?? UnitState(),
            socket: units["prwlockd.socket"] ?? UnitState(),
            isOfUser: ofUser)
    }
}
