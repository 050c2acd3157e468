/// A fencing token: a number that rises with every grant, over all locks and over restarts (G7).
public struct Token: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// 1 or more for a token that was given out.
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static func < (left: Token, right: Token) -> Bool { left.rawValue < right.rawValue }

    /// The token of the grant after the one with this.
    public var next: Token { Token(rawValue: rawValue + 1) }

    public var description: String { String(rawValue) }
}
