import LockClaims
import LockVocabulary
import SimulatedStore

/// The daemon of a simulated host: one process after another with the same clients.
///
/// Each call has the time that the host's clock shows.
protocol SimulatedDaemon: AnyObject {
    /// Accepts the connection of a process.
    func open(_ process: Int32, at now: Instant) -> SessionID?
    func receive(_ line: String, from session: SessionID, at now: Instant)
    /// The process of a session has died.
    func died(_ session: SessionID, at now: Instant)
    func deliver(_ delivery: SimulatedNetwork.Delivery, at now: Instant)
    /// Does all that is due.
    func advance(to now: Instant)
    var nextDeadline: Instant? { get }
    /// Keeps what a next process needs. Nothing is sent before.
    func commit()
    func nextRequest(at now: Instant) -> (id: StoreRequestID, request: StoreRequest, deadline: Instant)?
    /// What it has sent to its clients since the last call.
    func takeLines(at now: Instant) -> [(session: SessionID, line: String)]
    /// The process is killed, and another one goes on from its facts.
    func succeed(at now: Instant) throws
    /// Gives up all claims and its session in the store, at the orderly end.
    func leave(at now: Instant)
    /// What the daemon keeps in a file for the next one.
    var highestEpoch: Int64 { get }
    /// Throws if its state contradicts itself.
    func check() throws
}

/// What a daemon finds on its host when it starts.
struct HostIdentity {
    let name: String
    /// Tells this boot of this machine from others.
    let instance: String
    let highestEpoch: Int64
    /// Above all tokens of local names that any host has given.
    let firstToken: UInt64
}

/// Makes the daemon of a host.
typealias DaemonMaker = (_ host: HostIdentity, FleetSettings, _ now: Instant) -> any SimulatedDaemon

/// A guarantee that does not hold.
struct Violation: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
