import Seeded
import Testing

@testable import LockServer

@Suite("The output of a session") struct OutputBufferTests {
    @Test("whatever is written and sent, the bytes stay in order", arguments: SeededGenerator.seeds)
    func againstAnArray(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var buffer = OutputBuffer()
        var model: [UInt8] = []
        var next: UInt8 = 0
        /// The next bytes of a sequence in which each differs from its neighbours.
        func take(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in
                next = next &+ 1
                return next
            }
        }
        for _ in 0..<2_000 {
            switch generator.number(0...9) {
            case 0...3:
                let line = take(
                    generator.happens(5) ? generator.number(250...3_000) : generator.number(1...60))
                buffer.appendLine { room in
                    if line.count <= room.count { _ = room.initialize(from: line) }
                    return line.count
                }
                model += line
            case 4:
                let page = take(generator.number(0...20_000))
                buffer.append(page)
                model += page
            case 5 where generator.happens(2):
                buffer.removeAll()
                model = []
            case 6:
                buffer.removeFirst(model.count)
                model = []
            default:
                let sent = min(model.count, generator.number(0...30_000))
                buffer.removeFirst(sent)
                model.removeFirst(sent)
            }
            let (count, isEmpty, isEqual) = (buffer.count, buffer.isEmpty, Array(buffer.bytes) == model)
            #expect(count == model.count && isEmpty == model.isEmpty && isEqual, "seed \(seed)")
        }
    }

    @Test("a client that leaves a byte unread keeps no more memory than a quiet one (G12)")
    func memoryOfTheUnread() {
        var buffer = OutputBuffer()
        for length in [10_000, 60_000, 1_000_000] {
            buffer.append([UInt8](repeating: 1, count: length))
            let most = buffer.capacity
            #expect(most >= length)
            while buffer.count > 1 {
                buffer.removeFirst(min(buffer.count - 1, 4_096))
                let (count, capacity) = (buffer.count, buffer.capacity)
                #expect(capacity <= max(2_048, 4 * count + 3) && capacity <= most)
            }
        }
        let capacity = buffer.capacity
        #expect(capacity == 2_048)
        let bytes = Array(buffer.bytes)
        #expect(bytes == [1])
    }
}
