/// A fencing token: a number that rises with every grant, over all locks and over restarts (G7).
public struct Token: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// At least 1 in the token of a grant.
    public let rawValue: UInt64

    /// The token with this number.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Earlier grants before later ones.
    public static func < (left: Token, right: Token) -> Bool { left.rawValue < right.rawValue }

    /// The token of the next grant.
    public var next: Token { Token(rawValue: rawValue + 1) }

    /// The number in decimal.
    public var description: String { String(rawValue) }
}
