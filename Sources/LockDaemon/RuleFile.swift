import Glibc
import LockServer
import Posix

/// The file that `--rules` names. `Policy` parses it; this finds what its names mean on this host.
enum RuleFile {
    /// The contents of a rule file, with the numbers that its names had at that time.
    struct Reading: Sendable {
        var policy = Policy()
        /// The file's bytes; nil without a file.
        var text: [UInt8]?
        /// The numbers of the users and groups that it names.
        var names = Names()
    }

    /// The numbers of users and groups, by name.
    struct Names: Sendable, Equatable {
        var users: [String: UInt32] = [:]
        var groups: [String: UInt32] = [:]

        /// The number of a name, which this looks up once and remembers.
        fileprivate mutating func find(
            _ name: String, in table: WritableKeyPath<Names, [String: UInt32]>,
            by lookUp: (String) -> UInt32?
        ) -> UInt32? {
            if let known = self[keyPath: table][name] { return known }
            let number = lookUp(name)
            self[keyPath: table][name] = number
            return number
        }
    }

    /// Reads a policy, or throws its first fault; without a file it is the default policy.
    ///
    /// This may take long: the host may look up names of users and groups over the network.
    ///
    /// A user who may write the file may do everything. So only root and the daemon's user may write or replace it.
    static func read(_ path: String?, _ facts: Policy.Facts) throws(ConfigurationFault) -> Reading {
        guard let path else { return Reading() }
        let text: [UInt8]
        do throws(PathFault) {
            text = try Configuration.contents(of: path, mustBeFile: true)
        } catch {
            throw ConfigurationFault(description: "rules: \(ConfigurationFault(error, at: path))")
        }
        do throws(PolicyFault) {
            var names = Names()
            let policy = try Policy(
                parsing: String(decoding: text, as: UTF8.self),
                PolicyNames(
                    facts: facts,
                    user: { names.find($0, in: \.users, by: UserDatabase.user) },
                    group: { names.find($0, in: \.groups, by: UserDatabase.group) }))
            return Reading(policy: policy, text: text, names: names)
        } catch {
            throw ConfigurationFault(description: "\(path):\(error)")
        }
    }

    /// Parses a policy with known names, without a look-up on the host.
    static func read(
        _ text: [UInt8], _ names: Names, _ facts: Policy.Facts
    ) throws(PolicyFault) -> Policy {
        let names = PolicyNames(facts: facts, user: { names.users[$0] }, group: { names.groups[$0] })
        return try Policy(parsing: String(decoding: text, as: UTF8.self), names)
    }

    /// The facts about peers that are certain for this daemon.
    ///
    /// - Parameter servesOneUser: whether all clients belong to the daemon's own user: it may see their programs.
    static func facts(servesOneUser: Bool) -> Policy.Facts {
        var facts: Policy.Facts = .groups
        // A fact about a process counts only if the socket itself identifies the process.
        guard let pair = try? UnixSocket.pair(), (try? ProcessWatch(peerOf: pair.first)) != nil else {
            return facts
        }
        facts.insert(.unit)
        if servesOneUser || ProcessFacts.executable(of: 1) != nil { facts.insert(.executable) }
        return facts
    }
}

extension Peer.Identity {
    /// The facts about the process at the other end of a socket that a policy needs.
    init(of socket: borrowing OwnedDescriptor, process: Int32?, _ facts: Policy.Facts) {
        self.init()
        if facts.contains(.groups) { groups = ProcessFacts.groups(ofPeer: socket) }
        guard let process else { return }
        if facts.contains(.unit) { unit = ProcessFacts.unit(of: process) }
        if facts.contains(.executable) { executable = ProcessFacts.executable(of: process) }
    }
}
