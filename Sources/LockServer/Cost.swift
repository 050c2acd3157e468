/// What a piece of work costs the account that caused it.
struct Cost {
    /// Lines carried out. They count against the rate of the payer.
    var lines = 0
    /// All work, in units of one line. It counts against the quota of the account in a round.
    var work = 0

    /// A line of average cost.
    static var line: Cost { line(extraWork: 0) }

    /// A line that cannot be decided yet, and is tried again.
    static var postponed: Cost { Cost(work: 1) }

    /// Bytes that complete no line with a request: empty lines, and the beginning of a line.
    static func blank(bytes: Int) -> Cost { Cost(work: max(0, bytes) / 64) }

    /// A line that asks for slots: the daemon makes a file and maps it, which costs some twenty lines.
    static var slots: Cost { line(extraWork: 20) }

    /// A line with work that grows with the state that it examines or changes.
    static func line(extraWork: Int) -> Cost { Cost(lines: 1, work: 1 + extraWork) }

    /// Grants and requests that were examined for a line.
    static func search(steps: Int) -> Cost {
        // Measured: four to eight of them cost about as much as a line.
        Cost(work: steps / 4)
    }

    /// Grants and requests that ended or began, or were told, because of a line.
    static func following(steps: Int) -> Cost { Cost(work: steps) }

    /// Rows of a list, whether written or skipped. The line that asked for the list is charged separately.
    static func rows(_ count: Int) -> Cost {
        // Measured: a row costs about a quarter of a line.
        Cost(work: (count + 3) / 4)
    }

    static func += (left: inout Cost, right: Cost) {
        left.lines += right.lines
        left.work += right.work
    }
}
