import LockVocabulary

/// The keys of a fleet in the store, all below one prefix.
struct Keys: Sendable {
    let prefix: [UInt8]
    let fleet: [UInt8]
    let hosts: [UInt8]
    let names: [UInt8]
    let waits: [UInt8]

    init(prefix: [UInt8]) {
        self.prefix = prefix
        fleet = prefix + Array("fleet".utf8)
        hosts = prefix + Array("hosts/".utf8)
        names = prefix + Array("n/".utf8)
        waits = prefix + Array("waits/".utf8)
    }

    func host(_ host: HostName) -> [UInt8] { hosts + Array(host.text.utf8) }
    func waits(_ host: HostName) -> [UInt8] { waits + Array(host.text.utf8) }
    /// A name has no byte but those of its alphabet, so it leads to no key outside of `n/`.
    func register(_ name: LockName) -> [UInt8] { names + Array(name.text.utf8) }

    /// What a key is about.
    enum Subject: Equatable {
        case fleet
        case host(HostName)
        case waits(HostName)
        case register(LockName)
        /// Not a key of ours; it is left alone.
        case foreign
    }

    func subject(of key: [UInt8]) -> Subject {
        if key == fleet { return .fleet }
        if let host = word(of: key, behind: hosts).flatMap({ HostName($0) }) { return .host(host) }
        if let host = word(of: key, behind: waits).flatMap({ HostName($0) }) { return .waits(host) }
        if let name = word(of: key, behind: names).flatMap({ LockName($0) }) { return .register(name) }
        return .foreign
    }

    private func word(of key: [UInt8], behind prefix: [UInt8]) -> String? {
        guard key.starts(with: prefix) else { return nil }
        let rest = key.dropFirst(prefix.count)
        return rest.allSatisfy { $0 < 0x80 } ? String(decoding: rest, as: UTF8.self) : nil
    }
}

/// The settings that all daemons of a fleet must agree on: which names are shared, or one name would be two locks.
struct FleetSettings: Equatable, Sendable {
    var prefixes: [String]
    /// What is added to revisions, so that tokens keep rising when the store was restored from a backup.
    var offset: Revision

    init(prefixes: [String], offset: Revision) {
        self.prefixes = prefixes
        self.offset = offset
    }

    init?(text: [UInt8]) {
        var lines = Lines(text)
        guard lines.take() == ["prwlock-fleet", "1"] else { return nil }
        prefixes = []
        var offset: Revision?
        while let words = lines.take() {
            guard words.count == 2, offset == nil else { return nil }
            switch words[0] {
            case "prefix": prefixes.append(words[1])
            case "offset":
                offset = Revision(canonical: words[1])
                if offset == nil { return nil }
            default: return nil
            }
        }
        guard lines.isComplete, let offset, offset < 1 << 45, !prefixes.isEmpty,
            prefixes == Set(prefixes).sorted()
        else { return nil }
        self.offset = offset
    }

    var text: [UInt8] {
        var text = "prwlock-fleet 1\n"
        for prefix in prefixes { text += "prefix \(prefix)\n" }
        text += "offset \(offset)\n"
        return Array(text.utf8)
    }
}

/// The value of a host's key: which daemon it is, and the seconds that its lease lasts.
struct HostRecord: Equatable, Sendable {
    var instance: String
    var leaseSeconds: Int64

    init(instance: String, leaseSeconds: Int64) {
        self.instance = instance
        self.leaseSeconds = leaseSeconds
    }

    init?(text: [UInt8]) {
        var lines = Lines(text)
        guard lines.take() == ["prwlock-host", "1"],
            let first = lines.take(), first.count == 2, first[0] == "instance",
            let second = lines.take(), second.count == 2, second[0] == "lease",
            let seconds = Revision(canonical: second[1]), (1...3_600).contains(seconds),
            lines.take() == nil, lines.isComplete
        else { return nil }
        instance = first[1]
        leaseSeconds = seconds
    }

    var text: [UInt8] { Array("prwlock-host 1\ninstance \(instance)\nlease \(leaseSeconds)\n".utf8) }
}
