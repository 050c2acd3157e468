public import LockVocabulary

extension Request {
    /// A request as most clients make it: for a lock, or for the release of one, with no words but `wait=` and `lease=`.
    ///
    /// The daemon carries it out without making a `Request` of it, because making a `Request` costs more than reading the line.
    public struct Brief {
        public let name: LockName
        /// The mode of a request for a lock; nil for a release.
        public let mode: LockMode?
        private let roundedWait: Milliseconds
        private let roundedLease: Milliseconds

        public var wait: TimeLimit { roundedWait.limit }
        public var lease: TimeLimit { roundedLease.limit }

        /// The request that this stands for.
        var whole: Request {
            guard let mode else { return Request(verb: .release(name, .only)) }
            return Request(
                verb: .acquire(
                    Acquire(
                        name: name, mode: mode, roundedWait: roundedWait, roundedLease: roundedLease,
                        owner: .session, note: .none, mayCache: true)))
        }

        /// Reads a line without its line end; nil for all lines that are not brief, and for those that have a fault.
        ///
        /// It reads the verb eight bytes at a time.
        @inline(__always)
        public init?(_ line: UnsafeRawBufferPointer) {
            guard let beginning = line.firstEight else { return nil }
            let start: Int
            // The masks turn letters into capitals, and no other byte into a letter.
            if beginning & 0x0000_FFDF_DFDF_DFDF == Self.write {
                (mode, start) = (.write, 6)
            } else if beginning & 0xFFDF_DFDF_DFDF_DFDF == Self.release {
                (mode, start) = (nil, 8)
            } else if beginning & 0x0000_00FF_DFDF_DFDF == Self.read {
                (mode, start) = (.read, 5)
            } else {
                return nil
            }
            let end = line.offset(of: .space, from: start)
            var limits = Limits()
            // The limits come first: where there is another word, the name is not made in vain.
            guard end == line.count || mode != nil && limits.read(line, from: end),
                let name = LockName(bytes: line.part(start, end))
            else { return nil }
            self.name = name
            (roundedWait, roundedLease) = (limits.wait, limits.lease)
        }

        /// `WRITE `, `READ ` and `RELEASE `, the first byte lowest.
        private static var write: UInt64 { 0x2045_5449_5257 }
        private static var read: UInt64 { 0x20_4441_4552 }
        private static var release: UInt64 { 0x2045_5341_454C_4552 }
    }

    private struct Limits {
        var wait = Milliseconds.forever
        var lease = Milliseconds.forever

        /// Reads `wait=` and then `lease=`, of which each may be missing. Returns false if anything else stands there.
        @inline(__always)
        mutating func read(_ line: UnsafeRawBufferPointer, from start: Int) -> Bool {
            var end = start
            if let word = line.value(of: " wait=", at: end) {
                guard let wait = Milliseconds(spelled: word) else { return false }
                self.wait = wait
                end += 6 + word.count
            }
            if let word = line.value(of: " lease=", at: end) {
                guard let lease = Milliseconds(spelled: word), lease != .zero else { return false }
                self.lease = lease
                end += 7 + word.count
            }
            return end == line.count
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The first eight bytes as a number, the first byte lowest; zeros stand for those that a line of six or seven lacks. Nil for
    /// a shorter one, which is no verb and name.
    @inline(__always)
    fileprivate var firstEight: UInt64? {
        if count >= 8 { return UInt64(littleEndian: loadUnaligned(as: UInt64.self)) }
        guard count >= 6 else { return nil }
        let first = UInt64(UInt32(littleEndian: loadUnaligned(as: UInt32.self)))
        let last = UInt64(UInt32(littleEndian: loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)))
        return first | last << UInt64(8 * (count - 4))
    }

    /// The offset of the first byte of this value at or after `start`; the end if there is none.
    @inline(__always)
    fileprivate func offset(of wanted: UInt8, from start: Int) -> Int {
        var index = start
        while index < count, self[index] != wanted { index += 1 }
        return index
    }

    /// The word behind a key, which begins at this offset; nil if another key stands there.
    @inline(__always)
    fileprivate func value(of key: StaticString, at start: Int) -> UnsafeRawBufferPointer? {
        let length = key.utf8CodeUnitCount
        guard start + length < count, part(start, start + length).spells(key) else { return nil }
        return part(start + length, offset(of: .space, from: start + length))
    }
}
