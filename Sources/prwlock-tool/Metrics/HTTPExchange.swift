import Glibc
import Posix

/// One request and its answer on standard input and output, which a service manager has connected to a client
/// (`Accept=yes`). The client may be hostile: each step has a limit in time, and the input one in bytes.
struct HTTPExchange {
    let format: MetricFormat
    var timeForHead = Duration.seconds(5)
    var timeForAnswer = Duration.seconds(5)
    /// How long the rest of the input is read and dropped. Closing a socket with unread input would reset the connection,
    /// and the client could lose the answer.
    var timeForRest = Duration.seconds(1)

    private static let mostRest = 1 << 20

    /// Reads the request, answers it, and ends the connection. A client that goes away is no fault.
    func run(metrics: () -> String) {
        guard let answer = answer(metrics: metrics) else { return }
        send(answer.text(at: time(nil)))
        shutdown(STDOUT_FILENO, Int32(SHUT_WR))
        dropRest()
    }

    /// The answer to the request; nil if the client has closed the connection without one.
    private func answer(metrics: () -> String) -> HTTPAnswer? {
        let end = Deadline(after: timeForHead)
        var head: [UInt8] = []
        while !HTTPRequest.isWhole(head) {
            guard head.count <= HTTPRequest.longestHead else { return HTTPAnswer(.headTooLarge) }
            guard let bytes = Self.read(until: end) else { return HTTPAnswer(.timeout) }
            if bytes.isEmpty { return head.isEmpty ? nil : HTTPAnswer(.badRequest) }
            head += bytes
        }
        return HTTPAnswer(to: head, in: format, metrics: metrics)
    }

    /// The next bytes of the input, empty at its end; nil if the deadline comes first.
    private static func read(until end: Deadline) -> [UInt8]? {
        guard wait(for: STDIN_FILENO, POLLIN, until: end) else { return nil }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(STDIN_FILENO, &buffer, buffer.count)
        return count > 0 ? Array(buffer[..<count]) : []
    }

    private func send(_ text: String) {
        let end = Deadline(after: timeForAnswer)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty, Self.wait(for: STDOUT_FILENO, POLLOUT, until: end) {
            // A pipe or socket that is ready takes so many bytes without a wait.
            let count = rest.prefix(4096).withUnsafeBytes {
                Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count)
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    private func dropRest() {
        let end = Deadline(after: timeForRest)
        var count = 0
        while count < Self.mostRest, let bytes = Self.read(until: end), !bytes.isEmpty {
            count += bytes.count
        }
    }

    /// Waits until the descriptor is ready or has ended; false if the deadline comes first.
    private static func wait(for descriptor: Int32, _ event: Int32, until end: Deadline) -> Bool {
        while true {
            var request = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let ready = poll(&request, 1, end.milliseconds)
            if ready != 0 || end.isOver { return ready > 0 }
        }
    }
}
