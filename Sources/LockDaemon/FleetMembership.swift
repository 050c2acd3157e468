import LockClaims
import LockServer
import LockVocabulary
import Posix
import Systemd

/// A daemon in its fleet: the link carries what the server asks of the cluster, and the server hears what comes back.
///
///   batch ──▶ COMMIT ──▶ SEND ──▶ housekeeping: requests to the link, flush ──▶ etcd
///   drain of the main queue ◀── answers, events ── the link ◀── etcd
///
/// A request is taken from the server before the commit of its batch, and leaves after it. So a successor that goes on from the
/// ledger knows all that any request was asked for.
extension Daemon {
    /// What a daemon has of its fleet.
    @MainActor final class Membership {
        let link: any StoreLink
        let folder: FleetFolder
        /// When the highest epoch was last looked at.
        var epochNoted = Instant.zero
        /// What follows when the daemon has left the fleet; nil while it does not leave.
        var afterEnd: (@MainActor () -> Void)?
        /// Whether the start waits for the cluster. It reports a failure itself.
        var isStarting = false

        init(_ link: any StoreLink, _ folder: FleetFolder) { (self.link, self.folder) = (link, folder) }
    }

    /// Connects to the cluster, if the server is one of a fleet.
    func join(_ folder: FleetFolder?) throws(Departure) {
        guard let folder, reactor.server.isInFleet else { return }
        let link = try Cluster.link(
            configuration.cluster, password: configuration.cluster.password(),
            answer: { self.reactor.server.storeAnswer($0, $1, at: Self.now) },
            event: { self.reactor.server.storeEvent($0, at: Self.now) })
        guard let link else { return }
        do throws(SystemError) { try reactor.waiting.events.add(link.handle, .link, .readable) } catch {
            throw Departure(.cannotListen, "\(error)")
        }
        membership = Membership(link, folder)
    }

    private static var now: Instant { Instant(nanoseconds: BootClock.now()) }

    /// Sends what the server asks of the cluster, and reports what has happened there.
    func keepMembership() {
        guard let membership else { return }
        let requests = reactor.takeStoreRequests()
        for asked in requests { membership.link.send(asked.id, asked.request, deadline: asked.deadline) }
        if !requests.isEmpty { membership.link.flush() }
        for event in reactor.server.takeFleetEvents() {
            if membership.isStarting, case .failed = event { continue }
            journal.write(JournalEntry(event, membership.link))
        }
        guard let state = reactor.server.fleetState else { return }
        if membership.epochNoted.advanced(by: .seconds(1)) < reactor.now {
            membership.epochNoted = reactor.now
            membership.folder.note(state.highestEpoch)
        }
        if state.phase == .left { endMembership() }
    }

    // MARK: - The start

    /// How long the start waits for the cluster, to report what is wrong.
    private static let startPatience = Duration.seconds(5)

    /// Serves until the cluster has answered, or for a moment. Throws if the fault is one that only an administrator can end.
    ///
    /// The cluster may merely be away: then the daemon serves the names that are not shared, and goes on trying.
    func awaitFleet() throws(Departure) {
        guard let membership else { return }
        membership.isStarting = true
        defer { membership.isStarting = false }
        var isLate = false
        var isOver = false
        MainQueue.after(Self.startPatience) { isLate = true }
        // A cluster that answers may still have a session of another daemon with this host's name, which may end with its lease.
        MainQueue.after(configuration.cluster.lease + Self.startPatience * 2) { isOver = true }
        while !isOver, !isLate || membership.link.fault == nil, let state = reactor.server.fleetState {
            switch state.phase {
            case .beginning: break
            // This may pass, as when etcd is full.
            case .failed(.other): isOver = true
            case .failed(let fault):
                membership.link.close()
                if let listener { endpoint.remove(listener.socket) }
                throw Departure(.cannotJoin, JournalEntry.reason(fault))
            case .live, .leaving, .left: return
            }
            turn()
            if case .ended = phase { return }
        }
        let reason = membership.link.fault ?? reactor.server.fleetState?.unavailable ?? "no session yet"
        journal.write(
            .warning,
            "not in the fleet yet (\(reason)): names that are not shared are served, and the others as soon as it is"
        )
    }

    // MARK: - The end

    /// How long the end of the daemon waits for the cluster. What is not given up then ends with the lease.
    private static let endPatience = Duration.seconds(2)

    /// Gives all claims up, and then calls the body.
    func leaveFleet(_ next: @escaping @MainActor () -> Void) {
        guard let membership else { return next() }
        membership.afterEnd = next
        reactor.server.leaveFleet(at: Self.now)
        MainQueue.after(Self.endPatience) { self.endMembership() }
    }

    private func endMembership() {
        guard let next = membership?.afterEnd.take() else { return }
        if let epoch = reactor.server.fleetState?.highestEpoch { membership?.folder.note(epoch) }
        membership?.link.close()
        next()
    }

    // MARK: - Status

    /// How the daemon stands in its fleet, for people; nil without one.
    var fleetStatus: String? {
        guard let membership, let state = reactor.server.fleetState else { return nil }
        switch state.phase {
        case .failed(let fault): return JournalEntry.reason(fault)
        case .leaving, .left: return "leaving the cluster"
        case .beginning, .live:
            if state.phase == .live, state.isReachable { return "the cluster is reachable" }
            let reason = membership.link.fault ?? state.unavailable ?? "no answer"
            return "the cluster is not reachable: \(reason)"
        }
    }
}

// MARK: - The journal

extension JournalEntry {
    /// An event of the fleet.
    @MainActor init(_ event: FleetEvent, _ link: any StoreLink) {
        switch event {
        case .sessionBegan(let session, let lease, let seconds):
            self.init(
                .info,
                "in the fleet as \(session.host), session \(session.number), with the lease \(Self.hex(lease)) of \(seconds) s"
            )
        case .leaseLost(let reason):
            self.init(
                .error, "all grants on shared names have ended, as the lease was lost: \(reason)",
                event: .clusterLost)
        case .unreachable(let reason):
            self.init(
                .error,
                "the cluster cannot be reached: \(link.fault ?? reason); requests for shared names wait or are refused",
                event: .clusterUnreachable)
        case .reachableAgain: self.init(.notice, "the cluster can be reached again")
        case .backupRestored(let seen, let now):
            self.init(
                .warning,
                "etcd was restored from a backup: its revision is \(now) after \(seen); tokens go on above the former ones",
                event: .clusterRestored)
        case .failed(let fault): self.init(.error, Self.reason(fault), event: .clusterRefused)
        case .damagedRegister(let name):
            self.init(
                .error,
                "the key of \(name) in etcd is not one of a prwlockd: the name is refused until it is removed",
                event: .clusterRefused, fields: [.lock(name.text)])
        case .noRoom:
            self.init(
                .error, "etcd has no room (NOSPACE): shared names cannot change hosts until it has",
                event: .clusterUnreachable)
        }
    }

    /// Why the daemon cannot be in its fleet.
    static func reason(_ fault: FleetFault) -> String {
        switch fault {
        case .hostNameTaken(let host):
            "another daemon is in the fleet as \(host): give each host a name of its own with --cluster-host"
        case .otherPrefixes(let prefixes):
            "the fleet shares names with other prefixes ("
                + (prefixes == [""] ? "all names" : prefixes.joined(separator: ","))
                + "): set --cluster-prefix to the same at all daemons"
        case .damagedKey(let key): "the key \(Harmless.show(key)) in etcd is not one of a prwlockd"
        case .notPermitted(let reason): "etcd does not permit it: \(Harmless.show(reason))"
        case .other(let reason): "the fleet cannot be joined: \(Harmless.show(reason))"
        }
    }

    private static func hex(_ number: Int64) -> String { String(UInt64(bitPattern: number), radix: 16) }
}
