import Glibc
import LockServer
import Posix
import Rendezvous
import Systemd

extension Daemon {
    /// Says whether options and rules have a fault, and ends the process with the status that a start would have.
    public static func check(_ configuration: Configuration) -> Never {
        do throws(ConfigurationFault) {
            let surroundings = Surroundings.current()
            let facts = RuleFile.facts(servesOneUser: configuration.wouldServeOneUser(in: surroundings))
            _ = try RuleFile.read(configuration.rules, facts)
            if let group = configuration.socketGroup, UInt32(group) == nil, getgrnam(group) == nil {
                throw ConfigurationFault(description: "there is no group `\(group)` (socket-group)")
            }
        } catch {
            refuse(error.description)
        }
        exit(Departure.Status.done.rawValue)
    }
}

extension Configuration {
    /// Whether a daemon with this configuration would serve its own user alone, as far as that shows before it listens.
    func wouldServeOneUser(in surroundings: Surroundings) -> Bool {
        guard listenDescriptor == nil else { return false }
        guard socket == nil else { return effectiveSocketMode & 0o077 == 0 }
        return SocketLocation.find(in: surroundings).isUserOwn
    }
}
