import ArgumentParser
import LockWire
import PRWLock

/// `prwlock stats`: the daemon's counters.
struct StatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show the daemon's counters.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        var counters: [(String, Int)] = []
        try complaining { () throws(Complaint) in
            var connection = try daemon.choice.connect()
            _ = try connection.ask(.stats) { row in
                if case .stat(let name, let value) = row { counters.append((name, value)) }
            }
        }
        if show.json {
            let object = JSON.object(counters.map { (JSON.key($0), .integer($1)) })
            StandardOutput.write("\(object.encoded)\n")
        } else {
            var table = Table([.init("COUNTER"), .init("VALUE", isNumber: true)], style: show.style)
            StandardOutput.write(table.render(counters.map { [$0, String($1)] }))
        }
    }
}
