import Glibc

/// The results as an SVG image: a row for each lock, a column of bars for each scenario, on one logarithmic scale.
///
/// It has no fonts of its own and two sets of colours, for pages that are light or dark. It is as wide as GitHub shows a
/// README.
struct PeerDrawing {
    let results: [PeerResult]
    /// The machine, and where the processes ran: a line each.
    let captions: [String]

    private static let width = 830
    private static let labels = 192
    private static let column = (width - labels) / PeerScenario.allCases.count
    /// The room behind the longest bar, for its figure.
    private static let figure = 66
    private static let row = 21
    private static let top = 94
    private static let gap = 8

    var text: String {
        let bottom = top(of: results.count)
        let height = bottom + 11 + (Self.remarks.count + captions.count) * 17
        var parts = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.width) \(height)" width="\(Self.width)" \
            height="\(height)" role="img" aria-label="\(Self.title)">
            <style>
            text { font: 12px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }
            .title { font-size: 16px; font-weight: 600 }
            .heading, .strong { font-weight: 600 }
            .quiet { fill: #59636e; font-size: 11px }
            .line { stroke: #d1d9e0 }
            .cached { fill: #0969da; stroke: #0969da }
            .ours { fill: #80b8f5; stroke: #80b8f5 }
            .other { fill: #9aa4ae; stroke: #9aa4ae }
            .outline { fill: none }
            @media (prefers-color-scheme: dark) {
            text { fill: #f0f6fc }
            .quiet { fill: #9198a1 }
            .line { stroke: #3d444d }
            .cached { fill: #4493f8; stroke: #4493f8 }
            .ours { fill: #275a9e; stroke: #275a9e }
            .other { fill: #656c76; stroke: #656c76 }
            .outline { fill: none }
            }
            </style>
            <text class="title" x="0" y="18">\(Self.title)</text>
            <text class="quiet" x="0" y="37">The time of one pair as each process sees it; shorter is better. \
            The scale is logarithmic: from one line to the next, the time is \(Self.step) times as long.</text>
            """
        ]
        for (index, scenario) in PeerScenario.allCases.enumerated() {
            parts += axis(scenario, at: Self.labels + index * Self.column, to: bottom)
        }
        for (index, result) in results.enumerated() {
            parts += bars(of: result, at: top(of: index))
        }
        let remarks = Self.remarks + captions
        for (index, remark) in remarks.enumerated() {
            parts.append(Self.text(remark, 0, bottom + 22 + index * 17, "quiet"))
        }
        parts.append("</svg>")
        return parts.joined(separator: "\n") + "\n"
    }

    private static let remarks = [
        "Outlined: the lock has no way to read, so readers exclude each other. In turns: a grant counts only if it "
            + "follows one of the other process."
    ]

    /// What lies between two lines, which have the names of units.
    private static let step = "1,000"

    private static let title = "An acquire and a release, by the locks of one host"

    /// The upper edge of a row. There is a gap behind the project's own rows.
    private func top(of index: Int) -> Int {
        let ours = results.prefix { $0.peer.isOurs }.count
        return Self.top + index * Self.row + (index >= ours && ours > 0 ? Self.gap : 0)
    }

    /// The powers of ten at both ends of the scale, in nanoseconds. The first one has a line.
    private var ends: (least: Int, most: Int) {
        let figures = results.flatMap { $0.cells.values }.map(\.runs.median).filter { $0.isFinite && $0 > 0 }
        let logarithms = figures.map { log10($0) }
        let least = Int((logarithms.min() ?? 0).rounded(.down)) / 3 * 3
        return (least, max(least + 1, Int((logarithms.max() ?? 1).rounded(.up))))
    }

    /// The length of a figure's bar, in tenths of a pixel.
    private func length(_ figure: Double) -> Int {
        let (least, most) = ends
        let share = (log10(figure) - Double(least)) / Double(most - least)
        return Int((min(max(share, 0), 1) * Double((Self.column - Self.figure) * 10)).rounded())
    }

    private func axis(_ scenario: PeerScenario, at left: Int, to bottom: Int) -> [String] {
        var parts = [Self.text(scenario.heading, left, 64, "heading")]
        for power in stride(from: ends.least, through: ends.most, by: 3) {
            let x = Self.tenths(left * 10 + length(pow(10, Double(power))))
            parts.append("<path class=\"line\" d=\"M\(x) \(Self.top - 4)V\(bottom)\"/>")
            parts.append(
                "<text class=\"quiet\" x=\"\(x)\" y=\"\(Self.top - 9)\" text-anchor=\"middle\">"
                    + "\(Self.unit(ofPower: power))</text>")
        }
        return parts
    }

    private func bars(of result: PeerResult, at top: Int) -> [String] {
        let baseline = top + 14
        var parts = [Self.text(result.peer.name, 0, baseline, result.peer.isOurs ? "strong" : "")]
        if let absence = result.absence {
            return parts + [Self.text(absence, Self.labels, baseline, "quiet")]
        }
        let colour = result.peer.isCached ? "cached" : result.peer.isOurs ? "ours" : "other"
        for (index, scenario) in PeerScenario.allCases.enumerated() {
            let left = Self.labels + index * Self.column
            guard let figure = result.median(scenario), figure.isFinite else {
                parts.append(Self.text(PeerReport.none, left + 4, baseline, "quiet"))
                continue
            }
            let length = max(length(figure), 10)
            let kind = result.isExclusive(scenario) ? "\(colour) outline" : colour
            parts.append(
                "<rect class=\"\(kind)\" x=\"\(left)\" y=\"\(top + 4)\" width=\"\(Self.tenths(length))\" height=\"12\"/>"
            )
            parts.append(
                "<text x=\"\(Self.tenths(left * 10 + length + 50))\" y=\"\(baseline)\">"
                    + "\(Unit.nanoseconds.text(figure))</text>")
        }
        return parts
    }

    private static func text(_ text: String, _ x: Int, _ y: Int, _ kind: String) -> String {
        let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
        return "<text\(kind.isEmpty ? "" : " class=\"\(kind)\"") x=\"\(x)\" y=\"\(y)\">\(escaped)</text>"
    }

    private static func tenths(_ number: Int) -> String { "\(number / 10).\(number % 10)" }

    private static func unit(ofPower power: Int) -> String {
        switch power {
        case 0: "1 ns"
        case 3: "1 µs"
        case 6: "1 ms"
        default: "1 s"
        }
    }
}
