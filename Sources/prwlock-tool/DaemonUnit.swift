import Posix

/// The process of the daemon, and the unit or login session that it ends with.
struct DaemonUnit {
    let process: Int32
    let owner: ControlGroup.Owner?

    init(process: Int32, owner: ControlGroup.Owner?) {
        self.process = process
        self.owner = owner
    }

    /// Looks at the daemon that listens at the path; nil if this process cannot see it.
    init?(listeningAt path: String) {
        // Open a new connection. A connection that was made while the daemon was starting still names the starter as
        // its peer.
        guard let connection = try? UnixSocket.connect(to: path, by: Deadline(after: .seconds(1))),
            let process = try? PeerCredentials(of: connection).processID, process != 0
        else { return nil }
        self.init(process: process, owner: ControlGroup(of: process)?.owner)
    }

    /// The name of the unit or scope; nil if there is none.
    var unit: String? {
        switch owner {
        case .systemUnit(let unit), .userUnit(let unit, _): unit
        case .session(let session): "session-\(session).scope"
        case nil: nil
        }
    }

    /// The members of a JSON object; null where this process cannot see the value.
    static func members(of daemon: DaemonUnit?) -> [(String, JSON)] {
        var process = JSON.null
        var unit = JSON.null
        if let daemon { process = .integer(Int(daemon.process)) }
        if let name = daemon?.unit { unit = .string(name) }
        return [("pid", process), ("unit", unit)]
    }

    /// One line for people.
    var line: String {
        let head = "process \(process)"
        switch owner {
        case .systemUnit(let unit) where unit.hasPrefix("prwlockd"):
            return "\(head), in a unit of its own, \(unit)"
        case .systemUnit(let unit): return "\(head), in the unit \(unit): it ends when that unit is stopped"
        case .userUnit(let unit, let user) where unit.hasPrefix("prwlockd"):
            return
                "\(head), in a unit of its own, \(unit): it ends with the service manager of user \(user), "
                + "after the last logout unless the user lingers"
        case .userUnit(let unit, let user):
            return "\(head), in the unit \(unit) of user \(user): it ends when that unit is stopped"
        case .session(let session):
            return "\(head), in login session \(session): it ends with that session "
                + "where logind has KillUserProcesses=yes"
        case nil: return "\(head), in no unit or session"
        }
    }
}
