import Seeded
import Testing

@testable import prwlock_tool

/// The layout of drawings.
@Suite struct LayoutTests {
    @Test("arrows point to the left but for those that close a circle, and no two nodes overlap")
    func properties() {
        for seed in SeededGenerator.newSeeds {
            var random = SeededGenerator(seed: seed)
            let count = random.number(1...60)
            let heights = (0..<count).map { _ in Double(random.number(20...60)) }
            let edges = (0..<random.number(0...90)).map { _ in
                (from: random.number(0...count - 1), to: random.number(0...count - 1))
            }.filter { $0.from != $0.to }
            let layout = LayeredLayout(heights: heights, edges: edges)
            for (index, edge) in edges.enumerated() {
                let (right, left) = layout.isTurned[index] ? (edge.to, edge.from) : (edge.from, edge.to)
                #expect(layout.columns[right] > layout.columns[left], "seed \(seed)")
                #expect(
                    layout.bends[index].count == layout.columns[right] - layout.columns[left] - 1,
                    "seed \(seed)")
            }
            for one in 0..<count {
                for other in 0..<one where layout.columns[one] == layout.columns[other] {
                    let distance = abs(layout.ys[one] - layout.ys[other])
                    #expect(distance >= (heights[one] + heights[other]) / 2, "seed \(seed)")
                }
                #expect(layout.ys[one] - heights[one] / 2 >= -0.001, "seed \(seed)")
                #expect(layout.ys[one] + heights[one] / 2 <= layout.height + 0.001, "seed \(seed)")
            }
        }
    }

    @Test("a tree has no turned edge, and its leaves stand in the order of their parents")
    func tree() {
        // Nodes 1 and 2 point to 0; 3 points to 2, and 4 to 1.
        let layout = LayeredLayout(
            heights: [20, 20, 20, 20, 20], edges: [(1, 0), (2, 0), (3, 2), (4, 1)])
        #expect(layout.columns == [0, 1, 1, 2, 2])
        #expect(layout.isTurned.allSatisfy { !$0 })
        #expect((layout.ys[1] < layout.ys[2]) == (layout.ys[4] < layout.ys[3]))
    }

    @Test("heights keep order and gaps, and are where they want to be if there is room")
    func heights() {
        #expect(LayerHeights.nearest(to: [0, 100], heights: [10, 10], gap: 5) == [0, 100])
        #expect(LayerHeights.nearest(to: [50, 50], heights: [10, 10], gap: 5) == [42.5, 57.5])
        #expect(LayerHeights.nearest(to: [60, 40], heights: [10, 10], gap: 5) == [42.5, 57.5])
        #expect(LayerHeights.nearest(to: [], heights: [], gap: 5) == [])
    }
}
