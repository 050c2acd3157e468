import LockVocabulary

/// The events of a history as a timeline, and their checksum (FNV-1a): the same seed gives the same sum.
struct FleetTrace {
    let isTold: Bool
    private(set) var lines: [String] = []
    private(set) var sum: UInt64 = 0xCBF2_9CE4_8422_2325

    init(isTold: Bool) { self.isTold = isTold }

    /// The text is only made if it is told; the time of each event goes into the sum.
    mutating func add(_ now: Instant, _ place: String, _ what: @autoclosure () -> String) {
        sum = (sum ^ UInt64(bitPattern: now.nanoseconds)) &* 0x100_0000_01B3
        guard isTold else { return }
        let milliseconds = Double(now.nanoseconds / 1_000) / 1_000
        lines.append("\(milliseconds) ms  \(place) \(what())")
    }
}
