/// Why a ledger is not believed.
public enum Doubt: Error, Equatable, Sendable {
    case noLedger
    /// A format with another major number.
    case version(UInt64)
    case header
    /// The memory is smaller than the header says.
    case size
    case chunk(Int)
    /// The place at this offset fails a check.
    case place(Int)
    /// Two places have the same piece of a fact.
    case twice(FactKey)
    /// A piece of a fact is missing, or is of another batch.
    case pieces(FactKey)
    case note(Int)
    case input(Int)
}

extension Doubt: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noLedger: "it has not the beginning of a ledger"
        case .version(let major): "it is of format \(major), and this program reads format \(Ledger.format)"
        case .header: "its header fails a check"
        case .size: "it is smaller than its header says"
        case .chunk(let number): "chunk \(number) fails a check"
        case .place(let offset): "the place at \(offset) fails a check"
        case .twice(let key): "two places have the fact \(key.kind).\(key.slot)"
        case .pieces(let key): "pieces of the fact \(key.kind).\(key.slot) are missing"
        case .note(let number): "note \(number) fails a check"
        case .input(let number): "slice \(number) of the input fails a check"
        }
    }
}

/// What became of a ledger that another process left.
public enum Recovery: ~Copyable {
    case believed(Ledger)
    /// The memory was not changed.
    case doubted(Doubt)
}

extension Ledger {
    /// Takes over the ledger that another process left in this memory, as of its last commit.
    ///
    /// All of it is checked before the first store. The stores that follow only remove what does not count, so a kill between
    /// any two of them leaves a ledger with the same facts.
    public static func recover(
        _ memory: Memory, reserve: Int = 1 << 20, beforeStore: (() -> Void)? = nil
    ) -> Recovery {
        do throws(Doubt) {
            var ledger = try Ledger(reading: SharedMemory(memory, beforeStore: beforeStore), reserve)
            let repairs = try ledger.inspect()
            for repair in repairs { ledger.memory.store(repair.state, at: repair.place.offset) }
            ledger.input.mend(in: ledger.memory)
            ledger.keepReserve()
            return .believed(ledger)
        } catch {
            return .doubted(error)
        }
    }

    /// Reads the header. The chunks follow in `inspect`.
    private init(reading memory: consuming SharedMemory, _ reserve: Int) throws(Doubt) {
        guard memory.byteCount >= Header.byteCount, memory.word(at: Header.magicOffset) == Header.magic else {
            throw .noLedger
        }
        guard let version = SelfChecked.number(memory.word(at: Header.versionOffset)) else { throw .header }
        guard version >> 16 == Header.major else { throw .version(version >> 16) }
        guard SelfChecked.number(memory.word(at: Header.chunkSizeOffset)) == UInt64(Chunk.byteCount),
            let inputSize = SelfChecked.number(memory.word(at: Header.inputSizeOffset)),
            let sliceBound = SelfChecked.number(memory.word(at: Header.sliceBoundOffset)),
            let layout = Layout(inputSize: inputSize, sliceBound: sliceBound),
            let chunkCount = SelfChecked.number(memory.word(at: Header.chunkCountOffset)),
            let committed = SelfChecked.number(memory.word(at: Header.committedOffset)),
            committed < PlaceState.batchBound - 1
        else { throw .header }
        guard chunkCount < 1 << 20, layout.end(ofChunks: Int(chunkCount)) <= memory.byteCount else {
            throw .size
        }
        self.init(memory, layout, chunkCount: Int(chunkCount), batch: committed + 1, reserve: reserve)
    }

    /// A store that makes a place what it is as of the last commit.
    private struct Repair {
        let place: Place
        let state: UInt64
    }

    /// A second or further piece of a fact.
    private struct LaterPiece {
        let place: Place
        let title: PieceTitle
        let born: UInt64
    }

    /// Checks everything, and finds the facts and the free places. Changes nothing in the memory.
    private mutating func inspect() throws(Doubt) -> [Repair] {
        for note in 0..<Notes.count where Notes.value(note, in: memory) == nil { throw .note(note) }
        try input.inspect(committed: batch - 1, in: memory)
        var repairs: [Repair] = []
        var later: [FactKey: [LaterPiece]] = [:]
        for number in 0..<chunkCount {
            let start = (layout.firstChunk + number) * Chunk.byteCount
            guard let stored = SelfChecked.number(memory.word(at: start)), stored > 0,
                let sizeClass = SizeClass(number: stored - 1)
            else { throw .chunk(number) }
            free.addChunk(sizeClass)
            for index in 0..<sizeClass.placeCount {
                let place = Place(offset: start + Chunk.headerSize + index * sizeClass.placeSize)
                try inspect(place, sizeClass, &repairs, &later)
            }
        }
        try join(later)
        return repairs
    }

    private mutating func inspect(
        _ place: Place, _ sizeClass: SizeClass, _ repairs: inout [Repair],
        _ later: inout [FactKey: [LaterPiece]]
    ) throws(Doubt) {
        let word = memory.word(at: place.offset)
        guard word != 0 else { return free.release(place) }
        guard let state = PlaceState(word: word), state.born > 0, state.born <= batch else {
            throw .place(place.offset)
        }
        let diesNow = state.died == PlaceState.Death(in: batch)
        if state.born == batch || (state.died != .none && !diesNow) {
            // Born in a batch that never counted, or died in the batch that was committed last.
            guard state.born == batch ? state.died == .none : state.born < batch - 1 else {
                throw .place(place.offset)
            }
            repairs.append(Repair(place: place, state: 0))
            return free.release(place)
        }
        if diesNow { repairs.append(Repair(place: place, state: PlaceState(born: state.born).word)) }
        let title = PieceTitle(word: memory.word(at: place.offset + 8))
        guard let key = title.key, isSound(place, title, state.born, sizeClass) else {
            throw .place(place.offset)
        }
        if title.index > 0 {
            later[key, default: []].append(LaterPiece(place: place, title: title, born: state.born))
        } else if index[key] == .none {
            index[key] = place
        } else {
            throw .twice(key)
        }
    }

    /// Whether a piece fits into its place and passes its checks.
    private func isSound(_ place: Place, _ title: PieceTitle, _ born: UInt64, _ sizeClass: SizeClass) -> Bool
    {
        guard Place.size(bytes: title.length, countsSent: title.countsSent) <= sizeClass.placeSize else {
            return false
        }
        let bytes = memory.bytes(at: place.offset + Place.bytesOffset, count: title.length)
        let end = place.offset + sizeClass.placeSize
        guard memory.halfWord(at: end - Place.checkSize) == Place.check(born: born, title, bytes) else {
            return false
        }
        guard title.countsSent else { return true }
        let sent = SelfChecked32.number(memory.halfWord(at: end - Place.checkSize - Place.sentSize))
        return title.index == 0 && sent.map { $0 <= Fact.longest } ?? false
    }

    /// Gives each fact of several pieces its places, in order.
    private mutating func join(_ later: [FactKey: [LaterPiece]]) throws(Doubt) {
        var doubt: Doubt?
        index.forEach { key, first in
            if title(of: first).isLast { return }
            let pieces = later[key, default: []].sorted { $0.title.index < $1.title.index }
            guard isWhole(first, pieces) else {
                doubt = .pieces(key)
                return
            }
            laterPieces[key] = pieces.map(\.place)
        }
        if let doubt { throw doubt }
        for key in later.keys where laterPieces[key] == nil { throw .pieces(key) }
    }

    /// Whether these are all pieces of a fact after its first one, in order.
    private func isWhole(_ first: Place, _ later: [LaterPiece]) -> Bool {
        guard let last = later.last, last.title.isLast, later.count < PieceTitle.mostPieces,
            let born = PlaceState(word: memory.word(at: first.offset))?.born,
            title(of: first).length == PieceTitle.longest,
            later.count * PieceTitle.longest + last.title.length <= Fact.longest
        else { return false }
        return later.enumerated().allSatisfy { index, piece in
            piece.title.index == index + 1 && piece.born == born
                && (index == later.count - 1) == piece.title.isLast
                && (piece.title.isLast || piece.title.length == PieceTitle.longest)
        }
    }
}
