/// A hash table from slots to small values, for the length of one search.
///
/// It has one segment, so a small one costs one allocation. A large one is rebuilt as it grows: the search that fills it is
/// bounded. No entry is removed.
struct SlotMap<Record, Value: BitwiseCopyable>: ~Copyable {
    private var segment = Segment<Value>()
    private let vacant: Value

    init(vacant: Value) { self.vacant = vacant }

    deinit { segment.dispose() }

    subscript(slot: Slot<Record>) -> Value? {
        let key = UInt64(slot.raw)
        return segment.value(key, IntegerTable<Value>.rest(key))
    }

    mutating func set(_ slot: Slot<Record>, to value: Value) {
        let key = UInt64(slot.raw)
        _ = segment.update(key, IntegerTable<Value>.rest(key), vacant) {
            $0 = value
            return true
        }
    }
}
