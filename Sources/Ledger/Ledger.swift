internal import CLedger

/// Facts in shared memory, which outlive the process that writes them.
///
/// The owner changes facts in batches, and `commit` is one store. After a kill between any two stores `recover` shows the facts
/// of the last commit. README.md has the format and says why that holds. Calling order:
///
/// 1. `set` and `remove` any number of times, then `commit`. `beginInput` and `endInput` in turns, before `commit`.
/// 2. `setSent` between batches, as it takes effect without a commit. `setNote` at any time.
/// 3. While `hasRoom` is false, the owner begins no batch that adds facts.
public struct Ledger: ~Copyable {
    /// The major number of the format. A ledger with another one is not believed.
    public static let format = Int(Header.major)

    var memory: SharedMemory
    let layout: Layout
    var index = FactIndex()
    /// The places of the second and further pieces of facts that have more than one.
    var laterPieces: [FactKey: [Place]] = [:]
    var free: FreePlaces
    var input: InputRegion
    var chunkCount: Int
    /// The number of the batch under way.
    var batch: UInt64
    /// Places that died in the batch under way.
    private var dying = GrowingBuffer<Place>()
    let reserve: Int
    /// Whether the reserve was not there when a chunk was taken last.
    var lacksReserve = false

    /// Called before each store to the memory, so that a test can copy the memory as a kill would leave it.
    public var beforeStore: (() -> Void)? {
        get { memory.beforeStore }
        set { memory.beforeStore = newValue }
    }

    /// Creates an empty ledger in memory that is zero; nil if the memory cannot be as large as an empty ledger.
    ///
    /// - Parameters:
    ///   - inputSize: the bytes that one batch may read, a multiple of 8.
    ///   - sliceBound: the reads of one batch.
    ///   - reserve: the bytes that are kept ready, so that a batch that is under way can be written.
    public init?(
        creatingIn memory: Memory, inputSize: Int = 256 << 10, sliceBound: Int = 4_096,
        reserve: Int = 1 << 20,
        beforeStore: (() -> Void)? = nil
    ) {
        guard let layout = Layout(inputSize: UInt64(inputSize), sliceBound: UInt64(sliceBound)) else {
            preconditionFailure("the input region is too large, or no multiple of 8")
        }
        var shared = SharedMemory(memory, beforeStore: beforeStore)
        guard shared.extend(to: layout.end(ofChunks: 0)) else { return nil }
        self.init(shared, layout, chunkCount: 0, batch: 1, reserve: reserve)
        let words = [
            (Header.versionOffset, Header.version), (Header.chunkSizeOffset, UInt64(Chunk.byteCount)),
            (Header.inputSizeOffset, UInt64(inputSize)), (Header.sliceBoundOffset, UInt64(sliceBound)),
        ]
        for (offset, number) in words { self.memory.store(SelfChecked.word(number), at: offset) }
        // The last store: until then the memory is no ledger.
        self.memory.store(Header.magic, at: Header.magicOffset)
        keepReserve()
    }

    init(_ memory: consuming SharedMemory, _ layout: Layout, chunkCount: Int, batch: UInt64, reserve: Int) {
        self.memory = memory
        self.layout = layout
        self.chunkCount = chunkCount
        self.batch = batch
        self.reserve = reserve
        free = FreePlaces(firstChunk: layout.firstChunk)
        input = InputRegion(layout)
    }

    /// Gives a fact these bytes, and forgets the bytes that it had.
    ///
    /// A fact with a value in `sent` counts how many of its bytes were sent. Returns false, and changes nothing, if the memory
    /// cannot grow.
    public mutating func set(_ key: FactKey, _ bytes: UnsafeRawBufferPointer, sent: UInt32? = nil) -> Bool {
        precondition(bytes.count <= Fact.longest, "the fact is too long")
        precondition(Int(sent ?? 0) <= bytes.count, "more was sent than the fact has")
        let present = index[key]
        if present != .none, holds(key, present, bytes, sent) { return true }
        guard bytes.count <= PieceTitle.longest else { return setInPieces(key, bytes, sent) }
        let title = PieceTitle(key, index: 0, isLast: true, countsSent: sent != nil, length: bytes.count)
        guard let place = write(title, bytes, sent) else { return false }
        if present != .none { retire(key, present) }
        index[key] = place
        return true
    }

    /// Removes a fact; false if there is none.
    @discardableResult
    public mutating func remove(_ key: FactKey) -> Bool {
        let present = index[key]
        guard present != .none else { return false }
        retire(key, present)
        index[key] = .none
        return true
    }

    /// Makes the changes since the last commit count, all of them in one store, and the input of the batch void.
    public mutating func commit() {
        precondition(batch < PlaceState.batchBound - 1, "there are no more numbers for batches")
        memory.store(SelfChecked.word(batch), at: Header.committedOffset)
        batch += 1
        for index in 0..<dying.count {
            let place = dying[index]
            memory.store(0 as UInt64, at: place.offset)
            free.release(place)
        }
        dying.removeAll()
        input.clear(in: memory)
        if lacksReserve { keepReserve() }
    }

    /// Writes a piece into a free place; nil if there is none and the memory cannot grow.
    ///
    /// All these stores come before the commit. Until then the place does not count, whatever its bytes are.
    @inline(__always)
    mutating func write(_ title: PieceTitle, _ bytes: UnsafeRawBufferPointer, _ sent: UInt32?) -> Place? {
        let sizeClass = SizeClass(holding: Place.size(bytes: bytes.count, countsSent: sent != nil))
        guard let place = free.take(sizeClass) ?? takeFromNewChunk(sizeClass) else { return nil }
        let end = place.offset + free.placeSize(of: place)
        memory.store(title.word, at: place.offset + 8)
        memory.copy(bytes, to: place.offset + Place.bytesOffset)
        if let sent { memory.store(SelfChecked32.word(sent), at: end - Place.checkSize - Place.sentSize) }
        memory.store(Place.check(born: batch, title, bytes), at: end - Place.checkSize)
        memory.store(PlaceState(born: batch).word, at: place.offset)
        return place
    }

    /// Lets the pieces of a fact die with the batch under way. Pieces that it bore itself are free at once.
    @inline(__always)
    private mutating func retire(_ key: FactKey, _ first: Place) {
        end(first)
        if !laterPieces.isEmpty, let later = laterPieces.removeValue(forKey: key) {
            for place in later { end(place) }
        }
    }

    @inline(__always)
    mutating func end(_ place: Place) {
        guard let state = PlaceState(word: memory.word(at: place.offset)) else {
            preconditionFailure("the state of a place in use was changed")
        }
        if state.born == batch {
            memory.store(0 as UInt64, at: place.offset)
            free.release(place)
        } else {
            memory.store(PlaceState(born: state.born, died: .init(in: batch)).word, at: place.offset)
            dying.append(place)
        }
    }
}
