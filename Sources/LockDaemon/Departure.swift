/// The reason why the program ends, and its exit status.
struct Departure: Error {
    enum Status: Int32 {
        case done = 0
        /// Options or rules have a fault.
        case usage = 64
        /// The state directory cannot be used.
        case noState = 73
        case cannotListen = 71
        /// The fleet does not take this daemon.
        case cannotJoin = 69
        /// Standard output takes nothing.
        case noOutput = 74
        /// Another daemon has the socket or the state directory.
        case alreadyServed = 75
    }

    let status: Status
    let reason: String

    init(_ status: Status, _ reason: String) {
        self.status = status
        self.reason = reason
    }
}
