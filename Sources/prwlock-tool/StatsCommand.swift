import ArgumentParser
import LockWire
import PRWLock

/// `prwlock stats`: the daemon's counters.
struct StatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show the daemon's counters.",
        discussion: "The manual page prwlock-metrics(7) describes the metrics, and how Prometheus gets them.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var metrics: MetricsOptions
    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
        if show.json, metrics.format != nil {
            throw ValidationError("--json and a format for metrics exclude each other")
        }
    }

    func run() throws {
        if let format = metrics.format {
            try complaining { () throws(Complaint) in
                try metrics.output.write(
                    MetricsScrape(daemon: daemon.choice, locks: metrics.locks), in: format)
            }
            return
        }
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
