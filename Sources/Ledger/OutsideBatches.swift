/// What is stored at once, without a commit, and the input of the batch under way.
extension Ledger {
    /// Raises how many bytes were sent of what a fact stands for. Call it between batches: it takes effect without a commit, and a fact that the
    /// batch under way has set takes it along if the batch is lost.
    public mutating func setSent(_ key: FactKey, _ count: UInt32) {
        let place = index[key]
        precondition(place != .none, "there is no such fact")
        let title = title(of: place)
        precondition(title.countsSent, "the fact does not count what was sent")
        precondition(count <= Fact.longest, "more was sent than a fact can stand for")
        memory.store(SelfChecked32.word(count), at: sentOffset(of: place))
    }

    /// How many bytes were sent of a fact that counts this.
    @inline(__always)
    func sentCount(of place: Place) -> UInt32? {
        SelfChecked32.number(memory.halfWord(at: sentOffset(of: place)))
    }

    private func sentOffset(of place: Place) -> Int {
        place.offset + free.placeSize(of: place) - Place.checkSize - Place.sentSize
    }

    /// The value of a note; 0 if it was never set.
    public func note(_ index: Int) -> UInt64 {
        guard let value = Notes.value(index, in: memory) else {
            preconditionFailure("a note was changed behind the ledger")
        }
        return value
    }

    /// The number of the batch under way, for a note that counts only until the commit.
    public var batchUnderWay: UInt64 { batch }

    public static var noteCount: Int { Notes.count }

    /// Sets a note at once, whether a batch is under way or not.
    public mutating func setNote(_ index: Int, _ value: UInt64) { Notes.set(index, to: value, in: memory) }

    /// Notes that bytes of the session follow, and returns zeroed room for them; nil if the batch has no more room for input.
    ///
    /// The next call is `endInput`. The caller writes only the bytes that it counts there, from the begin of the room.
    public mutating func beginInput(session: UInt64, room: Int = 16_384) -> UnsafeMutableRawBufferPointer? {
        input.begin(session, batch: batch, room: room, in: memory)
    }

    /// Ends the slice that was begun. A slice without bytes is forgotten.
    public mutating func endInput(count: Int) { input.end(count, in: memory) }

    /// The input of the batch under way: after recovery, what the killed process had read and not carried out.
    public var slices: [InputSlice] { input.slices(in: memory) }
}
