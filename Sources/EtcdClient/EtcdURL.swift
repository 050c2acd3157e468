/// Where a cluster is: `etcd://host:2379,host2:2379,[::1]:2379/prefix`, or `etcds://` for TLS.
///
/// Each member has a host name or an address, and a port, 2379 if there is none. All keys begin with the prefix and a
/// slash.
public struct EtcdURL: Sendable, Equatable, CustomStringConvertible {
    public struct Member: Sendable, Hashable, CustomStringConvertible {
        /// A name or an address, without brackets.
        public let host: String
        public let port: UInt16

        public init(host: String, port: UInt16) { (self.host, self.port) = (host, port) }

        public var description: String {
            host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    /// A URL that names no cluster, in words for its author.
    public struct Fault: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    public let usesTLS: Bool
    /// At least one. They are tried in this order, from any of them on.
    public let members: [Member]
    /// What all keys begin with: not empty, with a slash at its end.
    public let prefix: String

    public static let standardPort: UInt16 = 2379
    public static let standardPrefix = "prwlock/"
    private static let longestPrefix = 200

    public init(_ text: String) throws(Fault) {
        guard let colon = text.firstRange(of: "://") else {
            throw Self.fault(text, "it has to begin with etcd:// or, for TLS, etcds://")
        }
        switch text[..<colon.lowerBound].lowercased() {
        case "etcd": usesTLS = false
        case "etcds": usesTLS = true
        case "http": throw Self.fault(text, "it has to begin with etcd:// and not with http://")
        case "https": throw Self.fault(text, "it has to begin with etcds:// (TLS) and not with https://")
        case let other:
            throw Self.fault(text, "\(other):// is unknown; it has to begin with etcd:// or etcds://")
        }
        let rest = text[colon.upperBound...]
        let authority = rest.prefix { $0 != "/" }
        guard !authority.contains("@") else {
            // The text is not repeated, as it may have a password.
            throw Fault(
                description:
                    "the URL of etcd has a user in it; give the user by an option, and the password in a file"
            )
        }
        guard !rest.contains(where: { $0 == "?" || $0 == "#" }) else {
            throw Self.fault(text, "it must not have ? or #")
        }
        var members: [Member] = []
        for part in authority.split(separator: ",", omittingEmptySubsequences: false) {
            let member = try Self.member(part, of: text)
            guard !members.contains(member) else { throw Self.fault(text, "it names \(member) twice") }
            members.append(member)
        }
        self.members = members
        prefix = try Self.prefix(rest[authority.endIndex...].dropFirst(), of: text)
    }

    public var description: String {
        "\(usesTLS ? "etcds" : "etcd")://\(members.map(\.description).joined(separator: ","))/\(prefix.dropLast())"
    }

    private static func fault(_ text: String, _ reason: String) -> Fault {
        Fault(description: "\"\(text)\" is no URL of etcd: \(reason)")
    }

    private static func member(_ part: Substring, of text: String) throws(Fault) -> Member {
        let host: Substring
        let port: Substring?
        if part.first == "[" {
            guard let end = part.firstIndex(of: "]") else { throw fault(text, "a bracket is not closed") }
            host = part[part.index(after: part.startIndex)..<end]
            let rest = part[part.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else {
                throw fault(text, "after ] only :PORT may follow")
            }
            port = rest.isEmpty ? nil : rest.dropFirst()
            guard host.contains(":"), host.allSatisfy({ $0.isASCIIWord || $0 == ":" || $0 == "%" }) else {
                throw fault(text, "[\(host)] is no IPv6 address")
            }
        } else {
            let words = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            host = words.first ?? part
            port = words.count > 1 ? words.last : nil
            guard port?.contains(":") != true else {
                throw fault(text, "an IPv6 address has to stand in brackets, as in [::1]:\(standardPort)")
            }
            guard !host.isEmpty else { throw fault(text, "a host is missing") }
            guard host.utf8.count <= 253, host.allSatisfy(\.isASCIIWord) else {
                throw fault(text, "\"\(host)\" is no host")
            }
        }
        guard let port else { return Member(host: String(host), port: standardPort) }
        guard port.allSatisfy({ $0.isASCII && $0.isNumber }), let number = UInt16(port), number > 0 else {
            throw fault(text, "\"\(port)\" is no port (1 to 65535)")
        }
        return Member(host: String(host), port: number)
    }

    private static func prefix(_ path: Substring, of text: String) throws(Fault) -> String {
        let name = path.last == "/" ? path.dropLast() : path
        guard !name.isEmpty else {
            guard path.isEmpty else { throw fault(text, "the prefix after the hosts is empty") }
            return standardPrefix
        }
        guard name.utf8.count < longestPrefix, name.allSatisfy({ $0.isASCIIWord || $0 == "/" }) else {
            throw fault(
                text,
                "the prefix has to be of letters, digits, \".\", \"_\", \"-\" and \"/\", below \(longestPrefix) bytes"
            )
        }
        // With the slash no prefix is the beginning of another one by chance.
        return name + "/"
    }
}

extension Character {
    /// A letter, a digit, or one of `.`, `_` and `-`.
    fileprivate var isASCIIWord: Bool {
        isASCII && (isLetter || isNumber || self == "." || self == "_" || self == "-")
    }
}
