/// What a piece of work costs the account that caused it.
struct Cost {
    /// Lines carried out: these count against the rate of requests that the account may have.
    var lines = 0
    /// All work, in units of one line: this counts against the account's quota in a round.
    var work = 0

    /// One line that costs nothing beyond itself.
    static var line: Cost { line(extraWork: 0) }

    /// One line, and work that grows with what the line is about.
    static func line(extraWork: Int) -> Cost { Cost(lines: 1, work: 1 + extraWork) }

    /// Rows of a list, whether written or skipped; the list's own line is charged for separately.
    static func rows(_ count: Int) -> Cost {
        // Measured: a row costs about a quarter of a line.
        Cost(work: count / 4)
    }

    static func += (left: inout Cost, right: Cost) {
        left.lines += right.lines
        left.work += right.work
    }
}
