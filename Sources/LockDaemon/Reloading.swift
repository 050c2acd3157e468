import LockServer
import Systemd

/// A reload: reading options and rules again while the daemon serves.
extension Daemon {
    func reload() {
        supervision.reloading()
        reader.read(configuration, reactor.server.policy) { self.take($0) }
    }

    /// Replaces the settings by new ones, or keeps them all.
    private func take(_ answer: SettingsReader.Answer) {
        switch answer {
        case .read(let settings, let changesPolicy):
            let new = settings.configuration
            let unchanged = new.needingRestart(comparedTo: configuration)
            configuration.limits = new.limits
            configuration.limits.sessionRoom = room
            configuration.rules = new.rules
            configuration.logLevel = new.logLevel
            configuration.reportsHotLocks = new.reportsHotLocks
            journal.level = new.logLevel
            reactor.server.setLimits(configuration.limits)
            reactor.server.reportHotLocks(new.reportsHotLocks, at: reactor.now)
            if changesPolicy { reactor.setPolicy(settings.policy) }
            settingsFault = nil
            journal.write(.info, "limits, rules and log level are read again")
            if !unchanged.isEmpty {
                journal.write(.warning, "only a restart changes \(unchanged.joined(separator: ", "))")
            }
        case .refused(let fault):
            settingsFault = fault
            reactor.server.shell.refusedReloads += 1
            journal.write(.refused("nothing is changed", because: fault))
        }
        reactor.server.shell.reloads += 1
        supervision.reloaded(status)
    }
}
