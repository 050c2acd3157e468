import ArgumentParser
import Glibc
import LockVocabulary

/// The command `prwlock`: locks for scripts, and a look at who holds what.
@main
struct Prwlock: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prwlock",
        abstract: "Reader-writer locks for the processes of a host.",
        discussion: "The manual page prwlock(1) has examples, exit codes, and how it differs from flock(1).",
        version: "prwlock \(Release.version)",
        groupedSubcommands: [
            CommandGroup(
                name: "To lock",
                subcommands: [RunCommand.self, HoldCommand.self, ReleaseCommand.self]),
            CommandGroup(
                name: "To look",
                subcommands: [
                    StatusCommand.self, ListCommand.self, SessionsCommand.self, StatsCommand.self,
                    WatchCommand.self, PingCommand.self,
                ]),
            CommandGroup(name: "To fence", subcommands: [ValidateCommand.self, RevokeCommand.self]),
        ])

    static func main() {
        do throws(ArgumentSpelling.Fault) {
            main(try ArgumentSpelling.read(Array(CommandLine.arguments.dropFirst())))
        } catch {
            StandardError.say(error.line)
            Glibc.exit(ExitCode.validationFailure.rawValue)
        }
    }
}
