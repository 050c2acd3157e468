/// Places the nodes of a directed graph in columns, so that arrows point to the left and few of them cross
/// (K. Sugiyama, S. Tagawa and M. Toda, "Methods for Visual Understanding of Hierarchical System Structures", 1981).
///
/// 1. An edge that closes a circle is turned round.
/// 2. Each node gets the column behind the rightmost of its successors.
/// 3. An edge over several columns gets a bend, a node without content, in each column between.
/// 4. Sweeps sort each column by the mean place of the neighbours, and the order with the fewest crossings stays.
/// 5. Sweeps move each node as near to the mean height of its neighbours as the order and the gaps permit
///    (`LayerHeights`).
struct LayeredLayout {
    /// A node or a bend.
    private struct Item {
        let height: Double
        var column = 0
        var y = 0.0
        /// The neighbours in the column before, and in the one behind.
        var left: [Int] = []
        var right: [Int] = []
    }

    /// The column of each node.
    let columns: [Int]
    /// The middle of each node; the smallest upper edge is at 0.
    let ys: [Double]
    /// For each edge, the middles of its bends from right to left, each with its column.
    let bends: [[(column: Int, y: Double)]]
    /// Whether the edge was turned round, so that its arrow points to the right.
    let isTurned: [Bool]
    /// The height of the whole.
    let height: Double

    private static let sweeps = 8
    private static let gap = 14.0
    private static let bendHeight = 4.0

    init(heights: [Double], edges: [(from: Int, to: Int)]) {
        let isTurned = Self.turns(count: heights.count, edges)
        let straight = zip(edges, isTurned).map { $1 ? (from: $0.to, to: $0.from) : $0 }
        let columns = Self.columns(count: heights.count, straight)
        var items = zip(heights, columns).map { Item(height: $0, column: $1) }
        var chains: [[Int]] = []
        for edge in straight {
            var chain = [edge.from]
            for column in stride(from: columns[edge.from] - 1, to: columns[edge.to], by: -1) {
                items.append(Item(height: Self.bendHeight, column: column))
                chain.append(items.count - 1)
            }
            chain.append(edge.to)
            for (right, left) in zip(chain, chain.dropFirst()) {
                items[right].left.append(left)
                items[left].right.append(right)
            }
            chains.append(chain.dropFirst().dropLast())
        }
        var layers = Self.layers(items)
        Self.sort(&layers, items)
        Self.place(layers, &items)
        let top = items.map { $0.y - $0.height / 2 }.min() ?? 0
        self.columns = columns
        self.isTurned = isTurned
        ys = items.prefix(heights.count).map { $0.y - top }
        bends = chains.map { $0.map { (items[$0].column, items[$0].y - top) } }
        height = (items.map { $0.y + $0.height / 2 }.max() ?? 0) - top
    }

    /// Whether each edge leads back to a node on the path to it, by a depth-first search.
    private static func turns(count: Int, _ edges: [(from: Int, to: Int)]) -> [Bool] {
        var outgoing = [[Int]](repeating: [], count: count)
        for (index, edge) in edges.enumerated() { outgoing[edge.from].append(index) }
        var isTurned = [Bool](repeating: false, count: edges.count)
        var isOnPath = [Bool](repeating: false, count: count)
        var isDone = isOnPath
        for start in 0..<count where !isDone[start] {
            // Each entry has the node and how many of its edges were followed.
            var path = [(node: start, next: 0)]
            isOnPath[start] = true
            while let (node, next) = path.last {
                guard next < outgoing[node].count else {
                    isOnPath[node] = false
                    isDone[node] = true
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let edge = outgoing[node][next]
                let to = edges[edge].to
                if isOnPath[to] {
                    isTurned[edge] = true
                } else if !isDone[to] {
                    isOnPath[to] = true
                    path.append((to, 0))
                }
            }
        }
        return isTurned
    }

    /// The length of the longest way from each node to a node without successors. The edges have no circle.
    private static func columns(count: Int, _ edges: [(from: Int, to: Int)]) -> [Int] {
        var columns = [Int](repeating: 0, count: count)
        var incoming = [[Int]](repeating: [], count: count)
        var open = [Int](repeating: 0, count: count)
        for edge in edges {
            incoming[edge.to].append(edge.from)
            open[edge.from] += 1
        }
        var ready = (0..<count).filter { open[$0] == 0 }
        while let node = ready.popLast() {
            for other in incoming[node] {
                columns[other] = max(columns[other], columns[node] + 1)
                open[other] -= 1
                if open[other] == 0 { ready.append(other) }
            }
        }
        return columns
    }

    /// The items of each column, in the order in which they were made.
    private static func layers(_ items: [Item]) -> [[Int]] {
        let last = items.map(\.column).max() ?? -1
        var layers = [[Int]](repeating: [], count: last + 1)
        for (index, item) in items.enumerated() { layers[item.column].append(index) }
        return layers
    }

    private static func sort(_ layers: inout [[Int]], _ items: [Item]) {
        var best = layers
        var fewest = crossings(layers, items)
        for sweep in 0..<sweeps where fewest > 0 {
            let isRightward = sweep.isMultiple(of: 2)
            let order = isRightward ? Array(layers.indices) : layers.indices.reversed()
            for column in order {
                let neighbours = column + (isRightward ? -1 : 1)
                guard layers.indices.contains(neighbours) else { continue }
                let places = places(layers[neighbours])
                let means = layers[column].enumerated().map { place, item in
                    let found = (isRightward ? items[item].left : items[item].right).compactMap { places[$0] }
                    return found.isEmpty ? Double(place) : Double(found.reduce(0, +)) / Double(found.count)
                }
                // Equal means keep their order.
                let sorted = layers[column].indices.sorted { (means[$0], $0) < (means[$1], $1) }
                layers[column] = sorted.map { layers[column][$0] }
            }
            let count = crossings(layers, items)
            if count < fewest { (best, fewest) = (layers, count) }
        }
        layers = best
    }

    private static func places(_ layer: [Int]) -> [Int: Int] {
        Dictionary(uniqueKeysWithValues: layer.enumerated().map { ($1, $0) })
    }

    /// The number of pairs of edges that cross: the inversions of their ends in the next column, counted in a tree of sums
    /// (W. Barth, M. Jünger and P. Mutzel, "Simple and Efficient Bilayer Cross Counting", 2002).
    private static func crossings(_ layers: [[Int]], _ items: [Item]) -> Int {
        var count = 0
        for (left, right) in zip(layers, layers.dropFirst()) {
            let places = places(left)
            var sums = [Int](repeating: 0, count: left.count + 1)
            var seen = 0
            for item in right {
                let ends = items[item].left.compactMap { places[$0] }
                for end in ends {
                    var notAbove = 0
                    var index = end + 1
                    while index > 0 {
                        notAbove += sums[index]
                        index &= index - 1
                    }
                    count += seen - notAbove
                }
                for end in ends {
                    var index = end + 1
                    while index < sums.count {
                        sums[index] += 1
                        index += index & -index
                    }
                }
                seen += ends.count
            }
        }
        return count
    }

    private static func place(_ layers: [[Int]], _ items: inout [Item]) {
        for layer in layers {
            var y = 0.0
            for item in layer {
                items[item].y = y + items[item].height / 2
                y += items[item].height + gap
            }
        }
        for sweep in 0..<sweeps {
            let isLast = sweep == sweeps - 1
            let order = sweep.isMultiple(of: 2) ? Array(layers.indices) : layers.indices.reversed()
            for column in order {
                let layer = layers[column]
                let wanted = layer.map { item in
                    let before = sweep.isMultiple(of: 2) ? items[item].left : items[item].right
                    let neighbours = isLast || before.isEmpty ? items[item].left + items[item].right : before
                    let sum = neighbours.map { items[$0].y }.reduce(0, +)
                    return neighbours.isEmpty ? items[item].y : sum / Double(neighbours.count)
                }
                let ys = LayerHeights.nearest(to: wanted, heights: layer.map { items[$0].height }, gap: gap)
                for (item, y) in zip(layer, ys) { items[item].y = y }
            }
        }
    }
}

/// The heights in one column that are nearest to the wanted ones and keep order and gaps.
enum LayerHeights {
    /// Minimizes the sum of squares by merging neighbours that want to be in each other's place
    /// (M. Ayer et al., "An Empirical Distribution Function for Sampling with Incomplete Information", 1955).
    static func nearest(to wanted: [Double], heights: [Double], gap: Double) -> [Double] {
        // With the room that is needed above each item taken off, the order is all that is asked for.
        var offsets: [Double] = []
        var offset = 0.0
        for (index, height) in heights.enumerated() {
            if index > 0 { offset += (heights[index - 1] + height) / 2 + gap }
            offsets.append(offset)
        }
        var blocks: [(sum: Double, count: Int)] = []
        for (wanted, offset) in zip(wanted, offsets) {
            var block = (sum: wanted - offset, count: 1)
            while let last = blocks.last, last.sum / Double(last.count) > block.sum / Double(block.count) {
                block = (last.sum + block.sum, last.count + block.count)
                blocks.removeLast()
            }
            blocks.append(block)
        }
        let means = blocks.flatMap { Array(repeating: $0.sum / Double($0.count), count: $0.count) }
        return zip(means, offsets).map { $0 + $1 }
    }
}
