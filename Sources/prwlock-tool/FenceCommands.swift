import ArgumentParser
import LockWire
import PRWLock

/// `prwlock validate`: checks whether a fencing token is still valid (G7).
struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Tell whether a fencing token still holds.",
        discussion: "Exit code 0 if it does, 1 if it is stale.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var lockName: NameOptions

    @Argument(help: "The token.")
    var token: TokenArgument

    func run() throws {
        let isValid = try complaining { () throws(Complaint) -> Bool in
            var connection = try daemon.choice.connect()
            let reply = try connection.ask(.validate(lockName.name, token.token))
            if case .valid = reply { return true }
            if case .denied(let name, let what, let reason) = reply {
                throw Complaint.denied(name, what, reason)
            }
            guard case .stale = reply else { throw Complaint.unexpected }
            return false
        }
        let words = isValid ? "valid" : "stale"
        let line = show.json ? JSON.object([("valid", .bool(isValid))]).encoded : words
        StandardOutput.write("\(line)\n")
        if !isValid { throw ExitCode(Complaint.no) }
    }
}

/// `prwlock revoke`: takes a grant from its holder.
struct RevokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Take a grant from its holder; for root and the daemon's own user.",
        discussion: "The token is what `prwlock status` shows, so that no later grant is hit.")

    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var lockName: NameOptions

    @Argument(help: "The grant's token.")
    var token: TokenArgument

    func run() throws {
        try complaining { () throws(Complaint) in
            var connection = try daemon.choice.connect()
            try Revocation.carryOut(lockName.name, token.token, over: &connection)
        }
    }
}
