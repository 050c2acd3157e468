import LockVocabulary

/// A time limit in the precision of the protocol: whole milliseconds up to a hundred years, or `forever`.
///
/// Spelled as a whole number and `ms`, `s`, `m` or `h`, or `0`, or `forever`.
struct Milliseconds: Hashable, Sendable {
    /// The number; the largest `Int64` for no limit.
    let count: Int64

    static let zero = Milliseconds(count: 0)
    static let forever = Milliseconds(count: .max)

    static let longest = Milliseconds(count: TimeUnit.longestMilliseconds)

    private init(count: Int64) { self.count = count }

    /// The shortest limit that is not shorter than this one.
    init(roundingUp limit: TimeLimit) {
        switch limit {
        case .upTo(let duration):
            let inRange = min(max(duration, .zero), .milliseconds(Self.longest.count))
            self.init(count: (inRange + .nanoseconds(999_999)).wholeMilliseconds)
        case .forever: self = .forever
        }
    }

    /// The limit that the bytes spell; nil if they spell none.
    init?(spelled bytes: UnsafeRawBufferPointer) {
        var digits = 0
        var number: UInt64 = 0
        while digits < bytes.count {
            let digit = bytes[digits] &- UInt8(ascii: "0")
            guard digit <= 9 else { break }
            number = number &* 10 &+ UInt64(digit)
            digits += 1
        }
        guard digits > 0 else {
            guard bytes.spells("forever") else { return nil }
            self = .forever
            return
        }
        // A number has one spelling, without leading zeros. So one that overflows has more digits than the longest limit.
        guard digits <= 18, digits == 1 || bytes[0] != UInt8(ascii: "0") else { return nil }
        if digits == bytes.count {
            guard digits == 1, number == 0 else { return nil }
            self = .zero
            return
        }
        guard let unit = TimeUnit(bytes.part(digits, bytes.count)) else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: UInt64(unit.milliseconds))
        guard !overflow, product <= UInt64(Self.longest.count) else { return nil }
        self.init(count: Int64(product))
    }

    var limit: TimeLimit { self == .forever ? .forever : .upTo(.milliseconds(count)) }

    /// The duration; nil if there is no limit.
    var duration: Duration? { self == .forever ? nil : .milliseconds(count) }
}

extension Milliseconds: Spelled {
    /// Writes the limit exactly: in whole seconds if possible, otherwise in milliseconds.
    func spell(into line: inout LineWriter) {
        if self == .forever {
            line.put("forever")
        } else if self == .zero {
            line.put("0")
        } else if count.isMultiple(of: 1000) {
            line.put(number: UInt64(count / 1000))
            line.put("s")
        } else {
            line.put(number: UInt64(count))
            line.put("ms")
        }
    }
}

extension LineWriter {
    /// Writes a duration in milliseconds, without a fraction.
    mutating func put(milliseconds duration: Duration) {
        put(number: UInt64(clamping: duration.wholeMilliseconds))
        put("ms")
    }
}

/// A time that has passed or is left, truncated to the millisecond: from one second on in seconds, with three decimals
/// if they are not whole. Spelled `250ms`, `3s` or `3.250s`.
struct Age: Spelled {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(spelled bytes: UnsafeRawBufferPointer) {
        guard let point = bytes.offset(of: UInt8(ascii: ".")) else {
            guard let whole = Milliseconds(spelled: bytes)?.duration else { return nil }
            duration = whole
            return
        }
        let fraction = bytes.part(point + 1, bytes.count)
        guard fraction.count == 4, fraction.last == UInt8(ascii: "s"),
            let seconds = bytes.part(0, point).decimal(), seconds <= UInt64(Milliseconds.longest.count) / 1000
        else { return nil }
        var rest: Int64 = 0
        for digit in fraction.dropLast() {
            guard digit &- UInt8(ascii: "0") <= 9 else { return nil }
            rest = rest * 10 + Int64(digit - UInt8(ascii: "0"))
        }
        duration = .milliseconds(Int64(seconds) * 1000 + rest)
    }

    func spell(into line: inout LineWriter) {
        let milliseconds = UInt64(clamping: duration.wholeMilliseconds)
        guard milliseconds >= 1000 else { return line.put(milliseconds: duration) }
        line.put(number: milliseconds / 1000)
        let rest = milliseconds % 1000
        if rest > 0 {
            line.put(rest < 10 ? ".00" : rest < 100 ? ".0" : ".")
            line.put(number: rest)
        }
        line.put("s")
    }
}
