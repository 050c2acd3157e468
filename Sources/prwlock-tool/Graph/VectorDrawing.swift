/// A graph as an SVG image, for pages that are light or dark, without a script. What is waited for is on the left.
struct VectorDrawing {
    private let picture: GraphPicture
    private let layout: LayeredLayout
    private let boxes: [Frame]
    let width: Double
    let height: Double
    /// Whether each box links to the row of the page that has the same name.
    private let hasLinks: Bool

    private struct Frame {
        var left = 0.0
        var top = 0.0
        var width = 0.0
        var height = 0.0
        var right: Double { left + width }
        var middle: Double { top + height / 2 }
    }

    /// The advance of a monospaced font of 12 pixels: 0.6 of its size in all usual ones.
    private static let advance = 7.2
    private static let line = 16.0
    private static let padding = 10.0
    private static let margin = 16.0
    /// The room between two columns beside that for labels.
    private static let gap = 72.0
    /// The advance of the font of labels, and the room at both ends of a label.
    private static let labelAdvance = 6.6
    private static let labelPadding = 12.0
    private static let port = 15.0

    init(_ picture: GraphPicture, hasLinks: Bool = false) {
        self.picture = picture
        self.hasLinks = hasLinks
        let heights = picture.boxes.map { Double($0.lines.count) * Self.line + Self.padding }
        layout = LayeredLayout(heights: heights, edges: picture.arrows.map { ($0.from, $0.to) })
        let widths = picture.boxes.map { box in
            (box.lines.map { Double(Self.columns(of: $0)) }.max() ?? 0) * Self.advance + 2 * Self.padding
        }
        var columnWidths = [Double](repeating: 0, count: (layout.columns.max() ?? -1) + 1)
        for (width, column) in zip(widths, layout.columns) {
            columnWidths[column] = max(columnWidths[column], width)
        }
        // Labels stand to the left of the boxes of their column, or to the right of it.
        var labels = [Double](repeating: 0, count: columnWidths.count + 1)
        for arrow in picture.arrows where !arrow.label.isEmpty {
            let width = Double(Self.columns(of: arrow.label)) * Self.labelAdvance + Self.labelPadding
            let column = arrow.isWait ? layout.columns[arrow.from] : layout.columns[arrow.to] + 1
            labels[column] = max(labels[column], width)
        }
        self.labels = labels
        var lefts: [Double] = []
        var left = Self.margin
        for (column, width) in columnWidths.enumerated() {
            if column > 0 { left += Self.gap + labels[column] }
            lefts.append(left)
            left += width
        }
        columns = zip(lefts, columnWidths).map { ($0, $1) }
        boxes = zip(zip(layout.columns, layout.ys), zip(widths, heights)).map { place, size in
            Frame(
                left: lefts[place.0], top: place.1 - size.1 / 2 + Self.margin, width: size.0, height: size.1)
        }
        width = max(300, left + Self.margin)
        height = max(60, layout.height + 2 * Self.margin)
    }

    private let columns: [(left: Double, width: Double)]
    /// The room for labels to the left of each column.
    private let labels: [Double]

    /// A file of its own.
    var text: String {
        element(style: "<style>\n:root { color-scheme: light dark }\n\(Self.style)</style>\n")
    }

    /// The element, with a style of its own if the page has none for it.
    func element(style: String = "", attributes: String = "") -> String {
        let (width, height) = (Self.number(width), Self.number(height))
        var text = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" \
            height="\(height)" role="\(hasLinks ? "group" : "img")" aria-label="Who waits for whom"\(attributes)>
            \(style)<defs>
            <marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" \
            orient="auto" markerUnits="userSpaceOnUse"><path class="head" d="M0,0 8,4 0,8z"/></marker>
            <marker id="strong-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" \
            orient="auto" markerUnits="userSpaceOnUse"><path class="head strong" d="M0,0 8,4 0,8z"/></marker>
            </defs>

            """
        if picture.boxes.isEmpty { text += "<text x=\"16\" y=\"34\">nothing waits</text>\n" }
        let (starts, ends) = ports()
        for index in picture.arrows.indices { text += arrow(index, from: starts[index], to: ends[index]) }
        for index in picture.boxes.indices { text += box(index) }
        return text + "</svg>\n"
    }

    private func box(_ index: Int) -> String {
        let box = picture.boxes[index]
        let frame = boxes[index]
        let kind =
            switch box.kind {
            case .process: "process"
            case .lock: "lock"
            case .rest: "rest"
            }
        let radius = box.kind == .lock ? frame.height / 2 : 3
        var text = "<title>\(GraphEscapes.markup(box.full))</title>"
        text += "<rect x=\"\(Self.number(frame.left))\" y=\"\(Self.number(frame.top))\" "
        text += "width=\"\(Self.number(frame.width))\" height=\"\(Self.number(frame.height))\" "
        text += "rx=\"\(Self.number(min(radius, 16)))\"/>"
        for (line, words) in box.lines.enumerated() {
            let y = frame.top + Self.padding / 2 + Double(line) * Self.line + 12
            text +=
                "<text class=\"\(line == 0 ? "title" : "quiet")\" x=\"\(Self.number(frame.left + Self.padding))\" "
            text += "y=\"\(Self.number(y))\">\(GraphEscapes.markup(words))</text>"
        }
        let group = "<g class=\"\(kind)\(box.isStrong ? " strong" : "")\" id=\"box-\(box.id)\">\(text)</g>"
        guard hasLinks else { return group + "\n" }
        let row = box.kind == .rest ? "l" + box.id.dropFirst() : box.id
        return "<a href=\"#\(row)\">\(group)</a>\n"
    }

    /// Where each arrow leaves its box and where it enters one: several at one side share its height.
    private func ports() -> (starts: [Double], ends: [Double]) {
        var (starts, ends) = (
            [Double](repeating: 0, count: picture.arrows.count),
            [Double](repeating: 0, count: picture.arrows.count)
        )
        var sides: [[(arrow: Int, isStart: Bool, toward: Double)]] = Array(
            repeating: [], count: picture.boxes.count * 2)
        for (index, arrow) in picture.arrows.enumerated() {
            let bends = layout.bends[index].map(\.y)
            let isTurned = layout.isTurned[index]
            let towardEnd = (isTurned ? bends.last : bends.first) ?? layout.ys[arrow.to]
            let towardStart = (isTurned ? bends.first : bends.last) ?? layout.ys[arrow.from]
            sides[arrow.from * 2 + (isTurned ? 1 : 0)].append((index, true, towardEnd))
            sides[arrow.to * 2 + (isTurned ? 0 : 1)].append((index, false, towardStart))
        }
        for (side, entries) in sides.enumerated() {
            let frame = boxes[side / 2]
            let step = min(Self.port, (frame.height - 6) / Double(max(1, entries.count)))
            for (place, entry) in entries.sorted(by: { $0.toward < $1.toward }).enumerated() {
                let y = frame.middle + (Double(place) - Double(entries.count - 1) / 2) * step
                if entry.isStart { starts[entry.arrow] = y } else { ends[entry.arrow] = y }
            }
        }
        return (starts, ends)
    }

    private func arrow(_ index: Int, from startY: Double, to endY: Double) -> String {
        let arrow = picture.arrows[index]
        let isTurned = layout.isTurned[index]
        let start = (isTurned ? boxes[arrow.from].right : boxes[arrow.from].left, startY)
        let end = (isTurned ? boxes[arrow.to].left : boxes[arrow.to].right, endY)
        var points: [(Double, Double)] = [start]
        // Level beside the label, so that the line does not cross it.
        let label = labels[arrow.isWait ? layout.columns[arrow.from] : layout.columns[arrow.to] + 1]
        if !isTurned, arrow.isWait {
            points.append((columns[layout.columns[arrow.from]].left - label, startY))
        }
        let bends = isTurned ? layout.bends[index].reversed() : layout.bends[index]
        for bend in bends {
            // Level across the column, so that the line crosses no box there.
            let column = columns[bend.column]
            let sides = [
                (column.left + column.width, bend.y + Self.margin), (column.left, bend.y + Self.margin),
            ]
            points += isTurned ? sides.reversed() : sides
        }
        if !isTurned, !arrow.isWait, label > 0 {
            let column = columns[layout.columns[arrow.to]]
            points.append((column.left + column.width + label, endY))
        }
        points.append(end)
        var path = "M\(Self.number(start.0)),\(Self.number(start.1))"
        for (from, to) in zip(points, points.dropFirst()) {
            let middle = (from.0 + to.0) / 2
            path +=
                "C\(Self.number(middle)),\(Self.number(from.1)) \(Self.number(middle)),\(Self.number(to.1)) "
            path += "\(Self.number(to.0)),\(Self.number(to.1))"
        }
        var text =
            "<path class=\"\(arrow.isWait ? "wait" : "hold")\(arrow.isStrong ? " strong" : "")\" d=\"\(path)\" "
        text += "marker-end=\"url(#\(arrow.isStrong ? "strong-" : "")head)\"/>\n"
        guard !arrow.label.isEmpty else { return text }
        // A request's label is at the process that waits, and a grant's at the one that holds.
        let isAtStart = arrow.isWait
        let (x, y) = isAtStart ? start : end
        let isRight = isAtStart == isTurned
        text +=
            "<text class=\"label\(arrow.isStrong ? " strong" : "")\" x=\"\(Self.number(x + (isRight ? 10 : -6)))\" "
        text += "y=\"\(Self.number(y - 4))\"\(isRight ? "" : " text-anchor=\"end\"")>"
        return text + "\(GraphEscapes.markup(arrow.label))</text>\n"
    }

    /// The columns of a terminal that a text takes: ideographs are twice as wide.
    private static func columns(of text: String) -> Int {
        text.unicodeScalars.reduce(0) { $0 + ($1.properties.isIdeographic || $1.value >= 0x1F000 ? 2 : 1) }
    }

    /// A number with one digit after the point.
    private static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths.isMultiple(of: 10)
            ? "\(tenths / 10)" : "\(value < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }

    /// The colours are those of the drawing in the README.
    static let style = """
        svg text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1f2328 }
        svg .title { font-weight: 600 }
        svg .quiet, svg .label { fill: #59636e }
        svg .label { font-size: 11px }
        svg rect { fill: #f6f8fa; stroke: #818b98 }
        svg .lock rect { fill: #ddf4ff; stroke: #0969da }
        svg .rest rect { stroke-dasharray: 3 }
        svg .process.strong rect { fill: #ffebe9; stroke: #d1242f; stroke-width: 2 }
        svg path { fill: none; stroke: #818b98 }
        svg .hold { stroke-width: 2 }
        svg .head { fill: #818b98; stroke: none }
        svg path.strong { stroke: #d1242f }
        svg .head.strong { fill: #d1242f; stroke: none }
        svg .label.strong { fill: #d1242f; font-weight: 600 }
        @media (prefers-color-scheme: dark) {
        svg text { fill: #f0f6fc }
        svg .quiet, svg .label { fill: #9198a1 }
        svg rect { fill: #151b23; stroke: #656c76 }
        svg .lock rect { fill: #0c2d4d; stroke: #4493f8 }
        svg .process.strong rect { fill: #3c1618; stroke: #f85149 }
        svg path { stroke: #656c76 }
        svg .head { fill: #656c76 }
        svg path.strong { stroke: #f85149 }
        svg .head.strong { fill: #f85149 }
        svg .label.strong { fill: #f85149 }
        }

        """
}
