/// Where the measured processes run.
enum Placement: Equatable {
    /// Where the scheduler puts them.
    case free
    /// All on the processor with this number.
    case pinned(Int)
    /// Where the scheduler puts them, with real-time priority.
    case realTime

    var text: String {
        switch self {
        case .free: "unpinned"
        case .pinned(let processor): "pinned to processor \(processor)"
        case .realTime: "real-time priority, unpinned"
        }
    }
}

/// A scenario and its outcome, as a table or as JSON.
struct Report {
    let name: String
    /// The measured quantity, for the table's heading.
    let summary: String
    let placement: Placement
    let outcome: Outcome

    /// The figures in columns, each the median of its runs. Below them are the claims with the range of their runs.
    var table: String {
        var lines = ["\(name): \(summary) (\(placement.text))"]
        let header = outcome.rows.first.map { [""] + $0.figures.map(\.label) } ?? []
        let rows = outcome.rows.map { row in [row.subject] + row.figures.map { $0.unit.text($0.median) } }
        let widths = header.indices.map { column in
            ([header] + rows).map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        for row in [header] + rows {
            let cells = zip(row, widths).enumerated().map { column, cell in
                cell.0.padded(to: cell.1, right: column > 0)
            }
            lines.append("  " + cells.joined(separator: "  "))
        }
        for claim in outcome.claims {
            lines.append(
                "  \(claim.holds ? "holds" : "FAILS")  \(claim.text): \(median(claim.runs, claim.unit))"
                    + ", promised \(claim.bound.rawValue) \(claim.unit.text(claim.limit))")
        }
        for figure in outcome.noise {
            lines.append("  noise  \(figure.label): \(median(figure.runs, figure.unit))")
        }
        return lines.joined(separator: "\n")
    }

    /// The median, with the range if there is more than one run.
    private func median(_ runs: [Double], _ unit: Unit) -> String {
        let median = unit.text(runs.median)
        guard runs.count > 1, let least = runs.min(), let most = runs.max() else { return median }
        return "\(median) (\(unit.text(least)) to \(unit.text(most)))"
    }

    /// The processor of all measured processes; null if they were not pinned.
    private var processor: JSON {
        guard case .pinned(let processor) = placement else { return .null }
        return .number(Double(processor))
    }

    var json: JSON {
        .object([
            ("scenario", .string(name)),
            ("processor", processor),
            ("real-time", .bool(placement == .realTime)),
            ("rows", .array(outcome.rows.map(\.json))),
            ("claims", .array(outcome.claims.map(\.json))),
            ("noise", .array(outcome.noise.map(\.json))),
        ])
    }
}

extension Row {
    fileprivate var json: JSON {
        .object([("subject", .string(subject)), ("figures", .array(figures.map(\.json)))])
    }
}

extension Figure {
    fileprivate var json: JSON {
        .object([
            ("label", .string(label)),
            ("unit", .string(unit.rawValue)),
            ("median", .number(median)),
            ("runs", .array(runs.map(JSON.number))),
        ])
    }
}

extension Claim {
    fileprivate var json: JSON {
        .object([
            ("claim", .string(text)),
            ("unit", .string(unit.rawValue)),
            ("bound", .string(bound.rawValue)),
            ("limit", .number(limit)),
            ("measured", .number(measured)),
            ("runs", .array(runs.map(JSON.number))),
            ("holds", .bool(holds)),
        ])
    }
}
