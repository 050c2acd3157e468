import Glibc
import LockServer
import Posix

/// The file that `--rules` names: `Policy` has its words, and here is what they mean on this host.
enum RuleFile {
    /// Reads a policy, whole or not at all; without a file it is the default one.
    ///
    /// Whoever may write it may do everything, so it must be root's or the daemon's own, and nobody else's to write.
    static func read(_ path: String?, _ facts: Policy.Facts) throws(ConfigurationFault) -> Policy {
        guard let path else { return Policy() }
        let text: [UInt8]
        do throws(SystemError) {
            // Of a pipe or a device nobody is to wait for anything.
            let number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            guard number >= 0 else { throw SystemError.last("open", path) }
            let file = OwnedDescriptor(owning: number)
            let status = try FileStatus(of: file, path)
            guard status.isRegularFile else { throw SystemError(code: EINVAL, call: "read", subject: path) }
            guard status.userID == 0 || status.userID == geteuid(), status.permissions & 0o022 == 0 else {
                throw SystemError(code: EPERM, call: "others may write", subject: path)
            }
            text = try FileContents.read(file, path)
        } catch {
            throw ConfigurationFault(description: "rules: \(error)")
        }
        do throws(PolicyFault) {
            return try Policy(parsing: String(decoding: text, as: UTF8.self), names(facts))
        } catch {
            throw ConfigurationFault(description: "\(path):\(error)")
        }
    }

    private static func names(_ facts: Policy.Facts) -> PolicyNames {
        PolicyNames(
            facts: facts, user: { getpwnam($0)?.pointee.pw_uid }, group: { getgrnam($0)?.pointee.gr_gid })
    }

    /// The facts about peers that this daemon can be certain of.
    ///
    /// - Parameter servesOneUser: whether all its clients are its own user's, whose programs it may see.
    static func facts(servesOneUser: Bool) -> Policy.Facts {
        var facts: Policy.Facts = .groups
        // What is read of a process counts only where the socket itself tells which process it is.
        guard let pair = try? UnixSocket.pair(), (try? ProcessWatch(peerOf: pair.first)) != nil else {
            return facts
        }
        facts.insert(.unit)
        if servesOneUser || ProcessFacts.executable(of: 1) != nil { facts.insert(.executable) }
        return facts
    }
}

extension Peer.Identity {
    /// What a policy goes by, of the process at the other end of a socket.
    init(of socket: borrowing OwnedDescriptor, process: Int32?, _ facts: Policy.Facts) {
        self.init()
        if facts.contains(.groups) { groups = ProcessFacts.groups(ofPeer: socket) }
        guard let process else { return }
        if facts.contains(.unit) { unit = ProcessFacts.unit(of: process) }
        if facts.contains(.executable) { executable = ProcessFacts.executable(of: process) }
    }
}
