import LockVocabulary

/// The lines of a history as a timeline, and their checksum (FNV-1a): the same seed gives the same sum.
public struct Trace {
    private let isTold: Bool
    public private(set) var lines: [String] = []
    public private(set) var sum: UInt64 = 0xCBF2_9CE4_8422_2325

    init(isTold: Bool) { self.isTold = isTold }

    mutating func add(_ now: Instant, _ session: SessionID, _ what: StaticString, _ bytes: [UInt8] = []) {
        mix(UInt64(bitPattern: now.nanoseconds))
        mix(UInt64(session.serial))
        for byte in bytes { mix(UInt64(byte)) }
        guard isTold else { return }
        let time = "\(Double(now.nanoseconds / 1_000_000) / 1_000) s"
        let texts = bytes.isEmpty ? [""] : bytes.split(separator: 10).map(Self.spell)
        for text in texts { lines.append("\(time)  \(session) \(what) \(text)") }
    }

    private mutating func mix(_ value: UInt64) { sum = (sum ^ value) &* 0x100_0000_01B3 }

    /// The first 100 bytes as text, with a dot for each byte that is not printable.
    private static func spell(_ bytes: ArraySlice<UInt8>) -> String {
        let text = bytes.prefix(100).map { (32..<127).contains($0) ? Character(Unicode.Scalar($0)) : "·" }
        return String(text) + (bytes.count > 100 ? " … (\(bytes.count) bytes)" : "")
    }
}
