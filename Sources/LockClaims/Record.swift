import LockVocabulary

/// What is known of the register of a name.
struct Knowledge: Sendable {
    /// The value; empty if the key is absent.
    var text: [UInt8]
    /// The revision of the key's last change; 0 if it is absent.
    var modified: Revision
    /// The newest revision of which this is the state. Older evidence is ignored: answers and events overtake each other.
    var asOf: Revision
    /// The listing that has shown it last.
    var listing: UInt32 = 0
}

/// What a register says to a record.
enum Content: Equatable, Sendable {
    /// It has not been read yet.
    case unknown
    case register(Register)
    /// The value is no register. The name is refused until an administrator has removed it.
    case damaged
}

/// What this host has to do with a name: present while a session uses the name, or the register names this host.
struct Record: Sendable {
    var situation = Situation.unused
    var content = Content.unknown
    /// The revision of the register's last change; 0 if it is absent.
    var modified: Revision = 0

    /// The claim of this host, by the register.
    var held: ClaimMode?
    var gainedAt = Instant.zero
    /// Whether the rules have had the claim since it was gained.
    var hasReachedRules = false
    /// Whether the rules have used the write claim, so that their mark counts and no longer the register's.
    var isMarkLocal = false
    /// Whether a former process had the write claim: the register may have a mark that a writer has removed since.
    var isMarkDoubtful = false
    /// Since when a living waiter of another host waits for this host's claim.
    var blockedSince: Instant?
    /// Whether the claim is given up because there are too many idle ones.
    var isEvicted = false
    /// Whether the claim counts in `idleCount`; which entry of the idle queue is the name's.
    var isIdle = false
    var idleNumber: UInt64 = 0

    /// The write claim of a former session, and the mark that it leaves.
    var left: (session: HostSession, mark: ClaimMark?)?

    var isInFlight = false
    /// A swap that gives up a claim was sent for this state of the register, and may yet be carried out, whatever was answered.
    /// Until the register has changed, no more may be used than what would remain.
    var doubt: Doubt?
    var needsLookup = false
    /// Whether its next swap must not share a transaction with others, as one of them failed.
    var isAlone = false
    var pausedUntil: Instant?
    /// Why the store did not take the last swap of this name. It counts until the next one may be tried.
    var fault: String?

    /// Since when local requests that must not wait want a claim.
    var probeSince: Instant?
    var isProbeAsked = false
    var isProbeRefused = false
    /// Since when another host's reading probe waits for this host's readers to be alone.
    var probedSince: Instant?

    var deadline: Instant?
    var isReady = false
    var isChanged = false
    var directive = Directive()

    var register: Register? {
        if case .register(let register) = content { register } else { nil }
    }
}

/// What may be left of a claim.
struct Doubt: Sendable {
    /// The state of the register for which the claim was given up.
    var modified: Revision
    var remains: ClaimMode?
    /// Whether a swap that gave it up was not answered, so that it may have been carried out.
    var isUnanswered = false
}

/// The weaker of two claims; nil is none.
func weaker(_ one: ClaimMode?, _ other: ClaimMode?) -> ClaimMode? {
    guard let one, let other else { return nil }
    return min(one, other)
}

/// A change of one register, to be swapped.
struct Swap: Sendable {
    var name: LockName
    /// The state that is compared.
    var modified: Revision
    var next: Register
    /// Whether it changes nothing: a proof that the register is still as it was.
    var isProof = false
    /// Sessions that must live, as they get claims.
    var promoted: [HostSession] = []
    /// Sessions that must have ended.
    var swept: [HostSession] = []
    /// What remains of this host's claim, if the swap gives up all or a part of it.
    var givesUp: ClaimMode??
    /// Whether nothing waits for it, so that it may share a transaction with others.
    var isQuiet = false
}
