/// Why the daemon ends, and the status that says so.
struct Departure: Error {
    enum Status: Int32 {
        case done = 0
        /// What it was told cannot be followed.
        case usage = 64
        /// Tokens cannot be kept.
        case noState = 73
        case cannotListen = 71
        /// What was asked for cannot be written.
        case noOutput = 74
        /// Another daemon has the socket or the state.
        case alreadyServed = 75
    }

    let status: Status
    let reason: String

    init(_ status: Status, _ reason: String) {
        self.status = status
        self.reason = reason
    }
}
