import LockDaemon
import Posix
import Rendezvous

StandardDescriptors.openClosed()
if let fault = CommandWords.fault { Daemon.refuse(fault) }

// Makes a configuration of options, environment and file, and carries out what the command line requests.
// A worker is a copy of the keeper, in which the run returns: it begins again. If the options have a fault by then, it goes on
// with those that the keeper began with, as its end would be the end of all sessions.

var former: Configuration?
while true {
    let environment = Surroundings.current().environment
    switch Invocation(arguments: Array(CommandLine.arguments.dropFirst()), environment: environment) {
    case .run(let configuration):
        former = configuration
        Daemon.run(configuration)
    case .check(let configuration): Daemon.check(configuration)
    case .reload(let process): Daemon.reload(process: process)
    case .print(let text): Daemon.print(text)
    case .refuse(let reason):
        guard let configuration = former else { Daemon.refuse(reason) }
        Daemon.run(configuration.despite(reason))
    }
}
