import LockVocabulary
import LockWire

/// What a person has chosen in `prwlock top`: a value that keys change. It knows no terminal and no daemon.
struct TopState {
    /// What the keys act on.
    enum View: Equatable {
        /// The table of locks, with the chosen lock below it.
        case locks
        /// The holders and waiters of the chosen lock.
        case people
        case process(Int32)
        case help
        /// The prefix of names, as far as it is typed.
        case typing(String)
        /// The question whether to revoke a grant.
        case question(Revocation)
    }

    /// What is to be done after a key, beside drawing.
    enum Action: Equatable {
        case none
        /// Ask the daemon at once: what is shown depends on what was chosen.
        case ask
        case revoke(Revocation)
        case quit
    }

    var view = View.locks
    var order = TopOrder.waiters
    /// The beginning of the names to show, as plain text.
    var prefix = ""
    var isPaused = false
    /// What happened last, until the next key.
    var message = ""
    /// The lock that a person chose; nil for the first one of the table, whichever that is.
    private(set) var chosenLock: LockName?
    /// The row of the chosen lock when it was last in the table.
    private var lockIndex = 0
    /// Among the holders and waiters: the row that the keys act on.
    private(set) var chosenPerson = 0

    /// How far a key for a page moves.
    private static let page = 10

    /// Takes the key, while the sample is shown.
    mutating func press(_ key: Key, over sample: TopSample) -> Action {
        message = ""
        switch view {
        case .typing(let typed): return type(key, typed)
        case .question(let revocation):
            view = .locks
            if key == .character("y") || key == .character("Y") { return .revoke(revocation) }
            message = "nothing was revoked"
            return .none
        case .help, .process:
            if key == .character("q") || key == .escape || key == .left || key == .enter || key == .backspace
            {
                view = .locks
                return .ask
            }
            return command(key, sample)
        case .locks, .people: return move(key, sample) ?? command(key, sample)
        }
    }

    /// The index of the chosen lock in the table; the lock keeps being chosen while others pass it.
    func index(in locks: [TopLock]) -> Int? {
        guard !locks.isEmpty else { return nil }
        guard let chosenLock else { return 0 }
        return locks.firstIndex { $0.name == chosenLock } ?? min(lockIndex, locks.count - 1)
    }

    /// Adapts to a new sample: a lock that is gone from the table is replaced by the one in its place.
    mutating func follow(_ sample: TopSample) {
        if chosenLock != nil, let index = index(in: sample.locks) {
            lockIndex = index
            chosenLock = sample.locks[index].name
        }
        let people = sample.report.map { $0.holders.count + $0.waiters.count } ?? 0
        chosenPerson = min(chosenPerson, max(0, people - 1))
    }

    // MARK: - Keys

    /// Moves the choice; nil if the key does not move.
    private mutating func move(_ key: Key, _ sample: TopSample) -> Action? {
        switch key {
        case .up, .character("k"): return step(-1, sample)
        case .down, .character("j"): return step(1, sample)
        case .pageUp: return step(-Self.page, sample)
        case .pageDown: return step(Self.page, sample)
        case .home:
            if view == .locks { chosenLock = nil }
            chosenPerson = 0
            return .ask
        case .end: return step(Int(Int32.max), sample)
        case .tab where view == .people: view = .locks
        case .tab, .right, .character("l"):
            view = .people
            keep(sample.report)
        case .left, .escape: view = .locks
        default: return nil
        }
        return Action.none
    }

    private mutating func step(_ distance: Int, _ sample: TopSample) -> Action {
        if view == .people {
            let count = sample.report.map { $0.holders.count + $0.waiters.count } ?? 0
            chosenPerson = max(0, min(count - 1, chosenPerson + distance))
            return .none
        }
        guard let index = index(in: sample.locks) else { return .none }
        lockIndex = max(0, min(sample.locks.count - 1, index + distance))
        chosenLock = sample.locks[lockIndex].name
        chosenPerson = 0
        return .ask
    }

    private mutating func command(_ key: Key, _ sample: TopSample) -> Action {
        switch key {
        case .character("q"): return .quit
        case .character("w"): return sort(.waiters)
        case .character("t"): return sort(.waited)
        case .character("g"): return sort(.grants)
        case .character("/"): view = .typing(prefix)
        case .character(" "): isPaused.toggle()
        case .character("h"), .character("?"): view = .help
        case .enter, .character("p"): return look(sample)
        case .character("r"): ask(sample)
        default: break
        }
        return key == .character(" ") && !isPaused ? .ask : .none
    }

    private mutating func sort(_ order: TopOrder) -> Action {
        self.order = order
        view = .locks
        chosenLock = nil
        return .ask
    }

    private mutating func type(_ key: Key, _ typed: String) -> Action {
        switch key {
        case .character(let character): view = .typing(typed + String(character))
        case .backspace: view = .typing(String(typed.dropLast()))
        case .escape: view = .locks
        case .enter:
            prefix = typed
            view = .locks
            chosenLock = nil
            return .ask
        default: break
        }
        return .none
    }

    private mutating func look(_ sample: TopSample) -> Action {
        guard let report = sample.report, !report.isFree else {
            message = "no process holds this lock or waits for it"
            return .none
        }
        let holders = report.holders.map(\.row.processID)
        let people = holders + report.waiters.map(\.row.processID)
        let index = view == .people ? chosenPerson : 0
        guard index < people.count, let process = people[index] else {
            message = "the lock daemon does not see which process that is"
            return .none
        }
        view = .process(process)
        keep(report)
        return .ask
    }

    /// Asks whether to revoke the grant of the chosen holder.
    private mutating func ask(_ sample: TopSample) {
        guard let report = sample.report, !report.holders.isEmpty else {
            message = "nothing holds this lock, so there is nothing to revoke"
            return
        }
        if view != .people, report.holders.count > 1 {
            message = "this lock has several holders: choose one with Tab and the arrow keys"
            return
        }
        let index = view == .people ? chosenPerson : 0
        guard index < report.holders.count else {
            message = "this process waits and holds nothing: choose a holder"
            return
        }
        let row = sample.locks.first { $0.name == report.name }
        view = .question(Revocation(of: report.holders[index], report, row))
        keep(report)
    }

    /// Chooses the lock of the report, so that the next sample is not of another lock that is first then.
    private mutating func keep(_ report: LockReport?) {
        guard chosenLock == nil, let report else { return }
        chosenLock = report.name
        lockIndex = 0
    }
}
