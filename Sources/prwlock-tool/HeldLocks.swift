import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The locks that the ancestors of this process hold: the value of `PRWLOCK_HELD`.
///
/// It is a list of `NAME=MODE=TOKEN`, separated by spaces, with the name encoded. An item may be stale, because an
/// environment outlives a command. Validate its token with the daemon before relying on it.
struct HeldLocks: Equatable {
    struct Item: Equatable {
        let name: LockName
        let mode: LockMode
        let token: Token
    }

    static let variable = "PRWLOCK_HELD"

    private(set) var items: [Item]

    /// The items in this process's environment.
    static var current: HeldLocks { HeldLocks(getenv(variable).map { String(cString: $0) } ?? "") }

    /// Ignores words that are not items.
    init(_ text: String) {
        items = text.split(separator: " ").compactMap { word in
            let fields = word.split(separator: "=", omittingEmptySubsequences: false)
            guard fields.count == 3, let name = LockName(String(fields[0])),
                let mode = LockMode.allCases.first(where: { $0.description == fields[1] }),
                let token = TokenArgument(argument: String(fields[2]))?.token
            else { return nil }
            return Item(name: name, mode: mode, token: token)
        }
    }

    /// Adds a lock that a command is about to hold. It replaces an older item of the same name.
    mutating func add(_ item: Item) {
        items.removeAll { $0.name == item.name }
        items.append(item)
    }

    var text: String { items.map { "\($0.name)=\($0.mode)=\($0.token)" }.joined(separator: " ") }
}

/// A grant that an ancestor of this process holds, or that `prwlock hold` holds for this process or an ancestor.
///
/// A conflicting request of this process for the same lock would never end: it waits for an ancestor that waits for
/// this process. The two are different sessions, so the request is not a recursion of one owner (G4), and the daemon
/// does not detect it.
struct AncestorGrant {
    let mode: LockMode
    let token: Token
    /// The holder, in words.
    let holder: String

    /// The newest such grant on a lock; nil if there is none, or the daemon does not show it.
    ///
    /// - Parameter owner: its grants do not count, because it changes them itself.
    static func find(
        on name: LockName, over connection: inout BlockingConnection, by end: Deadline,
        besides owner: OwnerID = .session
    ) throws(Complaint) -> AncestorGrant? {
        let patience = min(end.left ?? CallTime.patience, CallTime.patience)
        for item in HeldLocks.current.items.reversed() where item.name == name {
            guard case .valid = try connection.ask(.validate(name, item.token), patience: patience) else {
                continue
            }
            let holder = "a command that this one runs under"
            return AncestorGrant(mode: item.mode, token: item.token, holder: holder)
        }
        var held: [(holder: Row.Holder, process: Int32)] = []
        _ = try connection.ask(.status(name), patience: patience) { row in
            guard case .holder(let holder) = row, holder.owner != owner, let client = HoldOwner(holder.owner),
                client.isOfThisNamespace
            else { return }
            held.append((holder, client.process))
        }
        guard !held.isEmpty else { return nil }
        let ancestors = Set(Ancestors.andSelf())
        guard let (holder, process) = held.last(where: { ancestors.contains($0.process) }) else { return nil }
        return AncestorGrant(
            mode: holder.mode, token: holder.token, holder: "`prwlock hold` for process \(process)")
    }

    /// Whether a request in this mode must not wait while the ancestor holds the grant.
    func forbids(_ mode: LockMode) -> Bool { mode.conflicts(with: self.mode) }

    /// The error for a request that is refused because of this grant.
    func refusal(of name: LockName, code: UInt8, hint: String) -> Complaint {
        Complaint(
            "\(name.shown): \(holder) holds it already (\(mode), token \(token)), so this request would wait "
                + "for itself; \(hint)", code: Int32(code))
    }
}
