import LockClaims
import LockCore
import LockVocabulary

// The facts of a fleet as bytes. The order of the fields is part of the ledger's format.

extension Server {
    /// Goes on with the session of a former server in its fleet.
    ///
    /// What its claims were in use for is in the rules, which list all their shared locks as changed.
    mutating func restoreFleet(
        _ facts: borrowing some KeptFacts & ~Copyable
    ) throws(UnbelievableFacts) {
        guard let configuration = fleet?.configuration else { return }
        try facts.forEachFact(ofKind: KeptKey.fleet) { (slot, bytes) throws(UnbelievableFacts) in
            let former = FactReader.value(of: bytes) { reader throws(UnreadableFact) in
                try reader.fleetFacts()
            }
            guard let former else {
                throw UnbelievableFacts(description: "the fact of the fleet cannot be read")
            }
            fleet = Fleet(configuration, from: former)
            claimsEnd = former.validUntil
        }
        for client in conversations.indices {
            conversations[client].mayHoldShared = table.usage(of: conversations[client].session).grants > 0
        }
    }
}

extension FactWriter {
    mutating func write(_ facts: FleetFacts) {
        write(facts.session.host.text)
        writeWhole(facts.session.number)
        writeWhole(facts.lease)
        writeWhole(facts.leaseSeconds)
        write(facts.validUntil)
        writeWhole(facts.offset)
        writeWhole(facts.settingsModified)
        writeWhole(facts.newestRevision)
        writeWhole(facts.highestEpoch)
    }
}

extension FactReader {
    mutating func fleetFacts() throws(UnreadableFact) -> FleetFacts {
        guard let host = HostName(bytes: try data()) else { throw UnreadableFact() }
        return FleetFacts(
            session: HostSession(host: host, number: try wholeNumber()), lease: try wholeNumber(),
            leaseSeconds: try wholeNumber(), validUntil: try instant(), offset: try wholeNumber(),
            settingsModified: try wholeNumber(), newestRevision: try wholeNumber(),
            highestEpoch: try wholeNumber())
    }
}
