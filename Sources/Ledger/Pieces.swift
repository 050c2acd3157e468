internal import CLedger

/// Facts that are longer than a place: they are split here, and joined here.
extension Ledger {
    /// Gives a fact bytes that need more than one place, all of them or none.
    mutating func setInPieces(_ key: FactKey, _ bytes: UnsafeRawBufferPointer, _ sent: UInt32?) -> Bool {
        var places: [Place] = []
        for start in stride(from: 0, to: bytes.count, by: PieceTitle.longest) {
            let piece = UnsafeRawBufferPointer(
                rebasing: bytes[start..<min(start + PieceTitle.longest, bytes.count)])
            let isFirst = start == 0
            let title = PieceTitle(
                key, index: places.count, isLast: start + piece.count == bytes.count,
                countsSent: isFirst && sent != nil, length: piece.count)
            guard let place = write(title, piece, isFirst ? sent : nil) else {
                for place in places { end(place) }
                return false
            }
            places.append(place)
        }
        remove(key)
        index[key] = places.removeFirst()
        laterPieces[key] = places
        return true
    }

    /// Whether a fact has these bytes, and counts what was sent in the same way.
    @inline(__always)
    func holds(_ key: FactKey, _ first: Place, _ bytes: UnsafeRawBufferPointer, _ sent: UInt32?) -> Bool {
        let title = title(of: first)
        guard title.countsSent == (sent != nil) else { return false }
        if let sent, sentCount(of: first) != sent { return false }
        if title.isLast {
            return title.length == bytes.count && isEqual(self.bytes(of: first), bytes[...])
        }
        var start = 0
        for place in [first] + (laterPieces[key] ?? []) {
            let piece = self.bytes(of: place)
            guard piece.count <= bytes.count - start,
                isEqual(piece, bytes[start..<start + piece.count])
            else { return false }
            start += piece.count
        }
        return start == bytes.count
    }

    /// Calls the closure with a fact; returns nil if there is no such fact.
    public func withFact<Result>(_ key: FactKey, _ body: (Fact) -> Result) -> Result? {
        let first = index[key]
        guard first != .none else { return nil }
        return show(key, first, body)
    }

    /// Calls the closure with each fact, by kind and slot.
    public func forEachFact(_ body: (Fact) -> Void) {
        index.forEach { key, first in show(key, first, body) }
    }

    /// Calls the closure with each fact of a kind, by slot, until it throws.
    public func forEachFact<Failure>(
        ofKind kind: UInt8, _ body: (Fact) throws(Failure) -> Void
    ) throws(Failure) {
        try index.forEach(ofKind: kind) { (key, first) throws(Failure) in try show(key, first, body) }
    }

    private func show<Result, Failure>(
        _ key: FactKey, _ first: Place, _ body: (Fact) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let title = title(of: first)
        let sent = title.countsSent ? sentCount(of: first) : nil
        guard !title.isLast, let later = laterPieces[key] else {
            return try body(Fact(key: key, bytes: bytes(of: first), sent: sent))
        }
        var joined: [UInt8] = []
        for place in [first] + later { joined.append(contentsOf: bytes(of: place)) }
        return try joined.withUnsafeBufferPointer { (bytes) throws(Failure) in
            try body(Fact(key: key, bytes: UnsafeRawBufferPointer(bytes), sent: sent))
        }
    }

    @inline(__always)
    func title(of place: Place) -> PieceTitle { PieceTitle(word: memory.word(at: place.offset + 8)) }

    @inline(__always)
    private func bytes(of place: Place) -> UnsafeRawBufferPointer {
        memory.bytes(at: place.offset + Place.bytesOffset, count: title(of: place).length)
    }

    @inline(__always)
    private func isEqual(_ bytes: UnsafeRawBufferPointer, _ others: Slice<UnsafeRawBufferPointer>) -> Bool {
        let others = UnsafeRawBufferPointer(rebasing: others)
        return bytes.count == others.count && ledger_equal(bytes.baseAddress, others.baseAddress, bytes.count)
    }
}
