import ArgumentParser
import LockVocabulary
import LockWire
import PRWLock
import Rendezvous

/// `prwlock ping`: shows whether the daemon answers, its version and its socket.
struct PingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ping", abstract: "Ask the daemon for a sign of life.",
        discussion: "The user's own daemon is started if none runs.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        let (path, space, server, time) = try complaining { () throws(Complaint) in
            var connection = try daemon.choice.connect()
            guard case .hello(_, let server, _, _, _) = try connection.ask(.hello(client: nil, recall: nil))
            else {
                throw Complaint.unexpected
            }
            let start = Instant.now
            guard try connection.ask(.ping) == .pong else { throw Complaint.unexpected }
            let path = connection.location()?.path ?? "a socket without a name"
            return (path, LockSpace(of: connection), server, start.duration(to: .now))
        }
        let unit = DaemonUnit(listeningAt: path)
        let microseconds = time.wholeNanoseconds / 1000
        if show.json {
            let object = JSON.object(
                [
                    ("server", .string(server)), ("socket", .string(path)),
                    ("space", .string(space.rawValue)),
                    ("round_trip_us", .integer(Int(microseconds))),
                ] + DaemonUnit.members(of: unit))
            StandardOutput.write("\(object.encoded)\n")
        } else {
            StandardOutput.write("\(server) answers at \(path) in \(microseconds) µs\n")
            if let unit { StandardOutput.write("\(unit.line)\n") }
            space.printRemark(show)
        }
    }
}
