public import LockVocabulary

/// Until when grants on shared names count: so long after an instant of the boot clock (`CLOCK_BOOTTIME`).
///
/// Both parts are rounded down to milliseconds, so that no client trusts a grant for longer than the daemon does.
public struct Until: Hashable, Sendable {
    /// How long.
    public var duration: Duration
    /// When the daemon wrote the line.
    public var clock: Instant

    /// An instant from its parts.
    public init(_ duration: Duration, from clock: Instant) {
        self.duration = max(duration, .zero)
        self.clock = clock
    }

    /// The instant at which the grants no longer count, for a client that read the line at an instant of its own boot clock.
    ///
    /// The earlier of the two clocks decides: a client of another time namespace has another one.
    public func end(readAt read: Instant) -> Instant { min(clock, read).advanced(by: duration) }
}

extension Until {
    init(_ fields: inout Fields) throws {
        let duration = try fields.age("until")
        self.init(duration, from: .zero.advanced(by: try fields.age("clock")))
    }
}

extension LineWriter {
    mutating func put(_ until: Until) {
        put(" until=")
        put(milliseconds: until.duration)
        put(" clock=")
        put(milliseconds: Instant.zero.duration(to: until.clock))
    }
}

/// The mark of a lock, or that it has none: `0`, `1` or `maybe`.
struct MarkWord: Spelled {
    let mark: Mark?

    init(_ mark: Mark?) { self.mark = mark }

    init?(spelled bytes: UnsafeRawBufferPointer) {
        if bytes.spells("0") {
            mark = nil
        } else if bytes.spells("1") {
            mark = .yes
        } else if bytes.spells("maybe") {
            mark = .maybe
        } else {
            return nil
        }
    }

    func spell(into line: inout LineWriter) {
        switch mark {
        case nil: line.put("0")
        case .yes: line.put("1")
        case .maybe: line.put("maybe")
        }
    }
}

extension Fields {
    mutating func mark(_ key: StaticString) throws -> Mark? { (try value(key) as MarkWord).mark }
}
