/// The number of bytes that a session was sent, and how many of them have arrived already.
///
/// A daemon that goes on after a fault does not know whether its last write reached the client. It sends
/// `! RESUMED from=P`, and then all from byte P on, counted without the lines of this notice. So a client that has
/// received more than P bytes passes over what it has already. No texts are compared, so two equal lines are never confused.
struct ReceivedBytes {
    private var count: UInt64
    /// How many bytes had arrived before the daemon went back.
    private var known: UInt64 = 0

    /// Begins after so many bytes.
    init(after count: Int = 0) { self.count = UInt64(count) }

    /// Counts a line with its end; returns whether it is new.
    mutating func take(lineOf size: Int) -> Bool {
        let isNew = count >= known
        count &+= UInt64(size)
        return isNew
    }

    /// The daemon sends from this byte on.
    mutating func goBack(to position: UInt64) {
        known = max(known, count)
        count = position
    }
}
