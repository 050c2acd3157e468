import Glibc
import LockServer
import Posix
import Rendezvous
import Systemd

extension Daemon {
    /// Checks options and rules, and ends the process with the status of a start with them.
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
        do throws(Departure) { try Cluster.check(configuration.cluster) } catch { refuse(error.reason) }
        exit(Departure.Status.done.rawValue)
    }
}

extension Configuration {
    /// Whether a daemon with this configuration serves only its own user, as far as the configuration tells.
    func wouldServeOneUser(in surroundings: Surroundings) -> Bool {
        guard listenDescriptor == nil else { return false }
        guard socket == nil else { return effectiveSocketMode & 0o077 == 0 }
        return SocketLocation.find(in: surroundings).isUserOwn
    }
}
