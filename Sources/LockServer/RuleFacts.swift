import LockCore
import LockVocabulary

// The facts of the rules as bytes. The order of the fields is part of the ledger's format.

extension FactWriter {
    mutating func write(_ fact: Fact) {
        switch fact {
        case .counters(let fact): write(fact)
        case .session(let fact): write(fact)
        case .grant(let fact): write(fact)
        case .waiter(let fact): write(fact)
        case .mark(let fact):
            write(fact.lock)
            write(fact.number)
            // Only where it is so, as other versions go on from the others.
            if fact.mark != .yes { write(UInt64(fact.mark.rawValue)) }
        }
    }

    private mutating func write(_ fact: Fact.Counters) {
        write(fact.nextToken)
        write(fact.nextNumber)
        write(fact.nextSerial)
        write(fact.nextMark)
        write(fact.graceEnd) { $0.write($1) }
        write(fact.isOpening)
        if let fleet = fact.fleet {
            write(fleet.slot)
            write(fleet.serial)
            write(fleet.nextToken)
        }
    }

    private mutating func write(_ fact: Fact.Session) {
        write(fact.serial)
        write(fact.wantsRecall)
        write(fact.hasReleaseAtEnd)
        switch fact.phase {
        case .open: write(0)
        case .ending: write(1)
        case .ended(nil): write(2)
        case .ended(let report?):
            write(3)
            write(report.wasKilled)
            write(report.isForgotten)
            write(report.lost)
            write(report.example) {
                $0.write($1.name)
                $0.write($1.mode)
                $0.write($1.token)
            }
        }
        // Only where it is so: other facts are as in versions without cached grants, which go on from them.
        if fact.hasSlots { write(true) }
    }

    private mutating func write(_ fact: Fact.Grant) {
        write(fact.lock)
        write(fact.session)
        write(fact.owner)
        write(fact.token)
        write(fact.since)
        write(fact.mode)
        write(fact.lease)
        write(fact.due) { $0.write($1) }
        write(fact.note)
        write(fact.isRecalled)
        write(fact.isReleasedAtEnd)
        if let slot = fact.slot {
            write(UInt64(slot.index))
            write(slot.isWanted)
        }
    }

    private mutating func write(_ fact: Fact.Waiter) {
        write(fact.lock)
        write(fact.session)
        write(fact.owner)
        write(fact.number)
        write(fact.place)
        write(fact.since)
        write(fact.timeout) { $0.write($1) }
        write(fact.due) { $0.write($1) }
        write(fact.mode)
        write(fact.isImpatient)
        write(fact.isPatient)
        write(fact.upgrades) { $0.write($1) }
        write(fact.lease)
        write(fact.note)
        write(fact.tag)
    }
}

extension FactReader {
    /// A fact of the rules. The account of a session is not part of it: the session's conversation knows the user.
    mutating func fact(_ kind: FactKey.Kind, account: AccountID) throws(UnreadableFact) -> Fact {
        switch kind {
        case .counters: .counters(try counters())
        case .session: .session(try session(account))
        case .grant: .grant(try grant())
        case .waiter: .waiter(try waiter())
        case .mark: .mark(try mark())
        }
    }

    private mutating func mark() throws(UnreadableFact) -> Fact.Mark {
        var fact = Fact.Mark(lock: try name(), number: try number())
        if !isAtEnd {
            guard let raw = UInt8(exactly: try number()), let mark = Mark(rawValue: raw)
            else { throw UnreadableFact() }
            fact.mark = mark
        }
        return fact
    }

    private mutating func counters() throws(UnreadableFact) -> Fact.Counters {
        var fact = Fact.Counters(
            nextToken: try token(), nextNumber: try number(), nextSerial: try number32(),
            nextMark: try number(),
            graceEnd: try optional { reader throws(UnreadableFact) in try reader.instant() },
            isOpening: try flag())
        if !isAtEnd {
            fact.fleet = Fact.Counters.Fleet(
                slot: try number32(), serial: try number32(), nextToken: try token())
        }
        return fact
    }

    private mutating func session(_ account: AccountID) throws(UnreadableFact) -> Fact.Session {
        var fact = Fact.Session(serial: try number32(), account: account)
        fact.wantsRecall = try flag()
        fact.hasReleaseAtEnd = try flag()
        switch try number() {
        case 0: fact.phase = .open
        case 1: fact.phase = .ending
        case 2: fact.phase = .ended(nil)
        case 3:
            fact.phase = .ended(
                Fact.Session.Report(
                    wasKilled: try flag(), isForgotten: try flag(), lost: try count(),
                    example: try optional { reader throws(UnreadableFact) in
                        Fact.Session.Example(
                            name: try reader.name(), mode: try reader.mode(), token: try reader.token())
                    }))
        default: throw UnreadableFact()
        }
        if !isAtEnd { fact.hasSlots = try flag() }
        return fact
    }

    private mutating func grant() throws(UnreadableFact) -> Fact.Grant {
        var fact = Fact.Grant(
            lock: try name(), session: try number32(), owner: try owner(), token: try token(),
            since: try instant(), mode: try mode(), lease: try limit(),
            due: try optional { reader throws(UnreadableFact) in try reader.instant() }, note: try note())
        fact.isRecalled = try flag()
        fact.isReleasedAtEnd = try flag()
        if !isAtEnd {
            guard let index = UInt8(exactly: try number()) else { throw UnreadableFact() }
            fact.slot = Fact.Grant.Slot(index: index, isWanted: try flag())
        }
        return fact
    }

    private mutating func waiter() throws(UnreadableFact) -> Fact.Waiter {
        var fact = Fact.Waiter(
            lock: try name(), session: try number32(), owner: try owner(), number: try number(),
            place: try number(), since: try instant(),
            timeout: try optional { reader throws(UnreadableFact) in try reader.duration() },
            due: try optional { reader throws(UnreadableFact) in try reader.instant() }, mode: try mode(),
            lease: .forever, note: .none)
        fact.isImpatient = try flag()
        fact.isPatient = try flag()
        fact.upgrades = try optional { reader throws(UnreadableFact) in try reader.token() }
        fact.lease = try limit()
        fact.note = try note()
        fact.tag = try tag()
        return fact
    }
}
