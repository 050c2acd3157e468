import CBench
import Glibc

/// A session with a daemon, for one request at a time.
final class LineSession {
    private let socket: Int32
    private let name: String

    init(_ server: Server) throws {
        name = server.name
        socket = bench_connect(server.socket)
        if socket < 0 { throw Failure("\(name): connect", errno: -socket) }
    }

    deinit { close(socket) }

    /// Sends a request, and returns the first line that is no notice. Throws if it does not begin with this word.
    @discardableResult
    func ask(_ request: String, answered word: String) throws -> String {
        try check(bench_send(socket, "\(request)\n"), name)
        let line = try self.line()
        guard line.hasPrefix(word) else { throw Failure("\(name): \(request): \(line)") }
        return line
    }

    /// The numbers of `STATS`, by name.
    func figures() throws -> [String: Int] {
        try check(bench_send(socket, "STATS\n"), name)
        var figures: [String: Int] = [:]
        while true {
            let words = try line().split(separator: " ")
            guard words.first == "*", words.count == 3 else { return figures }
            figures[String(words[1])] = Int(words[2])
        }
    }

    private func line() throws -> String {
        var line = [CChar](repeating: 0, count: 512)
        repeat {
            try check(bench_read_line(socket, &line, line.count), name)
        } while line[0] == CChar(truncatingIfNeeded: Unicode.Scalar("!").value)
        return text(line)
    }
}
