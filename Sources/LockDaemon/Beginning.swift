import CLinux
import Glibc
import Keeping
import Ledger
import LockClaims
import LockServer
import LockVocabulary
import Posix
import Systemd

/// The first state of the reactor: empty, or that of a worker that died.
extension Daemon {
    /// Makes the reactor. If there is a keeper, it goes on with what the keeper has kept.
    static func makeReactor(
        _ configuration: Configuration, _ state: borrowing TokenState, _ policy: Policy,
        _ facts: Policy.Facts, _ claims: ClaimsConfiguration?,
        watching support: ProcessWatch.Support, _ kept: inout KeptDescriptors?, _ journal: Journal
    ) throws(SystemError) -> Reactor {
        var settings = serverConfiguration(configuration, state, policy, watching: support)
        settings.fleet = claims
        if let restarts = kept.inspect({ $0.before?.restarts ?? 0 }) {
            settings.hostRows.append(ServerConfiguration.HostRow("restarts", Int(clamping: restarts)))
            settings.hostRows.append(ServerConfiguration.HostRow("ledger-format", Ledger.format))
        }
        let polling = Polling(processors: Int(linux_allowed_processors()))
        var server = Server(settings)
        var continuity: Continuity?
        var former: Continuity.Facts?
        var sockets: [Int32] = []
        if kept != nil {
            server.keepsFacts = true
            if let found = takeOver(&kept, journal) {
                if let fault = restore(&server, found, &sockets) {
                    journal.write(.startedEmpty(because: fault))
                    server = Server(settings)
                    server.keepsFacts = true
                } else {
                    former = found.facts
                    continuity = consume found
                }
            }
            if continuity == nil { continuity = try .empty() }
        }
        try state.reserve?.ensure(left: server.tokensLeft)
        server.allowTokens(through: state.last)
        // An entry for a holder that died names its unit, and /proc does not have the unit of a dead process.
        var reactor = try Reactor(
            server, continuity, polling: polling, watching: support, reporting: facts.intersection(.unit),
            mainQueue: MainQueue.handle)
        reactor.server.reportHotLocks(configuration.reportsHotLocks, at: reactor.now)
        let slots = reactor.slots
        if configuration.caches { reactor.server.slotMaker = { slots.make(for: $0) } }
        #if DEBUG
            reactor.server.plantedFaults = getenv("PRWLOCK_TEST_CRASH").map {
                PlantedFaults(String(cString: $0))
            }
        #endif
        let hasCrashed = kept.inspect { $0.before?.hasCrashed ?? false } ?? false
        if let former { reactor.goOn(with: former, sockets: sockets, afterCrash: hasCrashed) }
        return reactor
    }

    /// Gives the server its former state, and takes all sockets out of the parcel. Returns why that is not possible.
    private static func restore(
        _ server: inout Server, _ continuity: borrowing Continuity, _ sockets: inout [Int32]
    ) -> String? {
        do throws(UnbelievableFacts) {
            try server.restore(continuity, at: Instant(nanoseconds: BootClock.now()))
        } catch {
            return error.description
        }
        do throws(SystemError) {
            try continuity.parcel.unpack { sockets.append($0.release()) }
        } catch {
            return "\(error)"
        }
        return nil
    }

    private static func serverConfiguration(
        _ configuration: Configuration, _ state: borrowing TokenState, _ policy: Policy,
        watching support: ProcessWatch.Support
    ) -> ServerConfiguration {
        var server = ServerConfiguration()
        server.start = Instant(nanoseconds: BootClock.now())
        server.policy = policy
        server.limits = configuration.limits
        server.program = "prwlockd/\(Release.version)"
        server.ownUserID = geteuid()
        server.firstToken = state.first
        server.lastToken = state.last
        if state.followsUncleanEnd, configuration.grace > .zero {
            server.graceEnd = Instant(nanoseconds: BootClock.now()).advanced(by: configuration.grace)
        }
        server.patience = configuration.readerPatience
        server.hostRows = [
            ServerConfiguration.HostRow("process-watches", support.isThere ? 1 : 0),
            ServerConfiguration.HostRow("token-files", state.fileCount),
        ]
        if let namespace = ProcessNamespace.own {
            server.hostRows.append(ServerConfiguration.HostRow("pid-namespace", Int(clamping: namespace)))
        }
        return server
    }

    /// What a former worker left; nil if there was none, or it cannot be believed.
    private static func takeOver(_ kept: inout KeptDescriptors?, _ journal: Journal) -> Continuity? {
        guard let file = kept?.takeOne("ledger"), let ends = kept?.take("parcel"),
            ends.count == SocketParcel.descriptorCount
        else { return nil }
        let parcel = SocketParcel(adopting: ends)
        if kept?.mustStartEmpty == true {
            journal.write(
                .startedEmpty(
                    because: "the process that serves crashed five times in ten seconds, "
                        + "or was killed whenever it started, for half a minute"))
            return nil
        }
        do throws(SystemError) {
            let memory = try LedgerMemory(of: file)
            switch Ledger.recover(memory.memory) {
            case .believed(let ledger): return Continuity(ledger: ledger, memory: memory, parcel: parcel)
            case .doubted(let doubt): journal.write(.startedEmpty(because: "the ledger: \(doubt)"))
            }
        } catch {
            journal.write(.startedEmpty(because: "\(error)"))
        }
        return nil
    }
}
