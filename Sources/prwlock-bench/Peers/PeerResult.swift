/// What was measured of a peer.
struct PeerResult {
    enum State: Equatable {
        case measured(version: String)
        /// Something is not installed, which the text says how to install.
        case missing(String)
        /// It could not be measured, or not to the end.
        case failed(String)
    }

    /// One scenario: the time of a pair in nanoseconds as a process sees it, in each run; infinite if there was none.
    struct Cell {
        /// All processes together: their time, divided by their pairs.
        let runs: [Double]
        /// The process that made the fewest pairs.
        let slowest: [Double]
    }

    let peer: Peer
    let state: State
    let cells: [PeerScenario: Cell]

    init(peer: Peer, state: State, cells: [PeerScenario: Cell]) {
        (self.peer, self.state, self.cells) = (peer, state, cells)
    }

    /// - Parameter counts: for each scenario and run, what each participant counted.
    init(peer: Peer, state: State, counts: [PeerScenario: [[Participant.Count]]]) {
        let cells = counts.mapValues { runs in
            Cell(
                runs: runs.map { $0.reduce(Participant.Count(), +).timeEach },
                slowest: runs.map { $0.map(\.timeEach).max() ?? .infinity })
        }
        self.init(peer: peer, state: state, cells: cells)
    }

    /// The median of a scenario's runs; nil if it was not measured.
    func median(_ scenario: PeerScenario) -> Double? { cells[scenario]?.runs.median }

    /// Whether the figure of a scenario is one of readers that exclude each other.
    func isExclusive(_ scenario: PeerScenario) -> Bool {
        !peer.hasReaders && (scenario == .readers || scenario == .mixed)
    }

    /// The words in place of figures; nil if there are figures.
    var absence: String? {
        switch state {
        case .measured: nil
        case .missing: "not installed"
        case .failed: cells.isEmpty ? "failed" : nil
        }
    }
}

/// All results, as a table or as JSON.
struct PeerReport {
    let results: [PeerResult]
    let placement: String

    static let none = "none"
    static let exclusiveMark = "†"

    var table: String {
        let scenarios = PeerScenario.allCases
        var rows = [["peers"] + scenarios.map(\.heading)]
        for result in results {
            let cells = scenarios.enumerated().map { column, scenario in
                if let absence = result.absence { return column == 0 ? absence : "" }
                return Self.text(result, scenario)
            }
            rows.append([result.peer.name] + cells)
        }
        let widths = scenarios.indices.map { column in rows.map { $0[column + 1].count }.max() ?? 0 }
        let first = rows.map { $0[0].count }.max() ?? 0
        var lines = ["peers: an acquire and a release, as each process sees it (\(placement))"]
        for row in rows {
            let cells = zip(row.dropFirst(), widths).map { $0.padded(to: $1, right: true) }
            lines.append("  " + ([row[0].padded(to: first, right: false)] + cells).joined(separator: "  "))
        }
        lines.append("  \(Self.exclusiveMark) without a way to read: readers exclude each other")
        lines += results.map { "  \(Self.note($0))" }
        return lines.joined(separator: "\n")
    }

    /// A figure with its unit and mark.
    static func text(_ result: PeerResult, _ scenario: PeerScenario) -> String {
        guard let median = result.median(scenario) else { return "—" }
        let figure = median.isFinite ? Unit.nanoseconds.text(median) : none
        return figure + (result.isExclusive(scenario) ? exclusiveMark : "")
    }

    private static func note(_ result: PeerResult) -> String {
        switch result.state {
        case .measured(let version):
            "\(result.peer.name)\(version.isEmpty ? "" : " (\(version))"): \(result.peer.remark)"
        case .missing(let what): "\(result.peer.name): not installed: \(what)"
        case .failed(let why): "\(result.peer.name): failed: \(why)"
        }
    }

    var json: JSON {
        .object([
            ("scenario", .string("peers")), ("placement", .string(placement)),
            ("peers", .array(results.map(\.json))),
        ])
    }
}

extension PeerResult {
    fileprivate var json: JSON {
        let cells = PeerScenario.allCases.compactMap { scenario in
            self.cells[scenario].map { cell in
                JSON.object([
                    ("scenario", .string(scenario.name)), ("unit", .string(Unit.nanoseconds.rawValue)),
                    ("median", .number(cell.runs.median)), ("runs", .array(cell.runs.map(JSON.number))),
                    ("slowest", .array(cell.slowest.map(JSON.number))),
                    ("exclusive", .bool(isExclusive(scenario))),
                ])
            }
        }
        let (status, detail) =
            switch state {
            case .measured(let version): ("measured", version)
            case .missing(let what): ("not installed", what)
            case .failed(let why): ("failed", why)
            }
        return .object([
            ("peer", .string(peer.id)), ("name", .string(peer.name)), ("status", .string(status)),
            ("detail", .string(detail)), ("remark", .string(peer.remark)), ("cells", .array(cells)),
        ])
    }
}
