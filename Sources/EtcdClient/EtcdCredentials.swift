/// By what a daemon knows a cluster, and the cluster the daemon. All of it is optional.
public struct EtcdCredentials: Sendable, Equatable {
    /// A file with the certificates that vouch for the members (PEM); nil for those that the system trusts.
    public var authorities: String?
    /// A file with the certificate that is shown to the members, and those that vouch for it (PEM).
    public var certificate: String?
    /// A file with the key of that certificate (PEM, not encrypted).
    public var key: String?
    public var user: String?
    public var password: String?

    public init(
        authorities: String? = nil, certificate: String? = nil, key: String? = nil, user: String? = nil,
        password: String? = nil
    ) {
        (self.authorities, self.certificate, self.key) = (authorities, certificate, key)
        (self.user, self.password) = (user, password)
    }
}

/// What keeps a cluster from being used, in words that name the cause.
public struct EtcdFault: Error, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
