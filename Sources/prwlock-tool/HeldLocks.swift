import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// What the commands that this process descends from hold: the value of `PRWLOCK_HELD`.
///
/// It is a list of `NAME=MODE=TOKEN` with spaces in between, the name encoded. An item may be out of date, as an
/// environment outlives a command: the daemon is asked whether the token is valid before an item counts.
struct HeldLocks: Equatable {
    struct Item: Equatable {
        let name: LockName
        let mode: LockMode
        let token: Token
    }

    static let variable = "PRWLOCK_HELD"

    private(set) var items: [Item]

    /// What the environment says.
    static var current: HeldLocks { HeldLocks(getenv(variable).map { String(cString: $0) } ?? "") }

    /// Words that are no items are passed over.
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

    /// Adds what a command is about to hold; of one name the newest item is enough.
    mutating func add(_ item: Item) {
        items.removeAll { $0.name == item.name }
        items.append(item)
    }

    var text: String { items.map { "\($0.name)=\($0.mode)=\($0.token)" }.joined(separator: " ") }
}

/// A grant that something this process descends from holds, or that `prwlock hold` holds for it.
///
/// Who asks for that lock once more, in a mode that conflicts, would wait for a process that waits for its end. It is
/// not an owner's recursion (G4), as the processes are different sessions; so the daemon does not notice.
struct AncestorGrant {
    let mode: LockMode
    let token: Token
    /// Who has it, in words.
    let holder: String

    /// The newest of them on a lock; nil if there is none, or the daemon does not show it.
    static func find(
        on name: LockName, over connection: inout BlockingConnection, by end: Deadline
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
            guard case .holder(let holder) = row, let owner = HoldOwner(holder.owner), owner.isOfThisNamespace
            else { return }
            held.append((holder, owner.process))
        }
        guard !held.isEmpty else { return nil }
        let ancestors = Set(Ancestors.andSelf())
        guard let (holder, process) = held.last(where: { ancestors.contains($0.process) }) else { return nil }
        return AncestorGrant(
            mode: holder.mode, token: holder.token, holder: "`prwlock hold` for process \(process)")
    }

    /// Whether a request must not wait while this is held.
    func forbids(_ mode: LockMode) -> Bool { mode.conflicts(with: self.mode) }

    /// Why a request is refused.
    func refusal(of name: LockName, code: UInt8, hint: String) -> Complaint {
        Complaint(
            "\(name.shown): \(holder) holds it already (\(mode), token \(token)), so this request would wait "
                + "for itself; \(hint)", code: Int32(code))
    }
}
