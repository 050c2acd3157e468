/// Where the first piece of each fact stands, outside of the shared memory: for each kind an array of pages of slots.
struct FactIndex: ~Copyable {
    private static var pageBits: UInt32 { 10 }
    private static var pageSize: Int { 1 << Int(pageBits) }
    private static var kindCount: Int { 256 }

    private struct Directory {
        var pages: UnsafeMutablePointer<UnsafeMutablePointer<Place>?>?
        var count: UInt32 = 0
    }

    private let kinds: UnsafeMutablePointer<Directory>

    init() {
        kinds = .allocate(capacity: Self.kindCount)
        kinds.initialize(repeating: Directory(), count: Self.kindCount)
    }

    deinit {
        for kind in 0..<Self.kindCount {
            for page in 0..<Int(kinds[kind].count) { kinds[kind].pages?[page]?.deallocate() }
            kinds[kind].pages?.deallocate()
        }
        kinds.deallocate()
    }

    /// The place of a fact's first piece, or `none`.
    @inline(__always)
    subscript(key: FactKey) -> Place {
        get {
            let directory = kinds[Int(key.kind)]
            let page = key.slot >> Self.pageBits
            guard page < directory.count, let places = directory.pages?[Int(page)] else { return .none }
            return places[Int(key.slot) & (Self.pageSize - 1)]
        }
        set { page(of: key)[Int(key.slot) & (Self.pageSize - 1)] = newValue }
    }

    /// Calls the closure for each fact, by kind and slot.
    func forEach(_ body: (FactKey, Place) -> Void) {
        for kind in UInt8.min...UInt8.max { forEach(ofKind: kind, body) }
    }

    /// Calls the closure for each fact of a kind, by slot.
    func forEach<Failure>(
        ofKind kind: UInt8, _ body: (FactKey, Place) throws(Failure) -> Void
    ) throws(Failure) {
        let directory = kinds[Int(kind)]
        for page in 0..<Int(directory.count) {
            guard let places = directory.pages?[page] else { continue }
            for index in 0..<Self.pageSize where places[index] != .none {
                try body(FactKey(kind: kind, slot: UInt32(page * Self.pageSize + index)), places[index])
            }
        }
    }

    @inline(__always)
    private mutating func page(of key: FactKey) -> UnsafeMutablePointer<Place> {
        let page = key.slot >> Self.pageBits
        let directory = kinds[Int(key.kind)]
        if page < directory.count, let places = directory.pages?[Int(page)] { return places }
        return addPage(Int(page), kind: Int(key.kind))
    }

    @inline(never)
    private mutating func addPage(_ page: Int, kind: Int) -> UnsafeMutablePointer<Place> {
        if page >= Int(kinds[kind].count) {
            extendDirectory(kind, to: max(page + 1, 2 * Int(kinds[kind].count)))
        }
        let places = UnsafeMutablePointer<Place>.allocate(capacity: Self.pageSize)
        places.initialize(repeating: .none, count: Self.pageSize)
        kinds[kind].pages?[page] = places
        return places
    }

    private mutating func extendDirectory(_ kind: Int, to count: Int) {
        let larger = UnsafeMutablePointer<UnsafeMutablePointer<Place>?>.allocate(capacity: count)
        larger.initialize(repeating: nil, count: count)
        if let pages = kinds[kind].pages {
            larger.update(from: pages, count: Int(kinds[kind].count))
            pages.deallocate()
        }
        kinds[kind] = Directory(pages: larger, count: UInt32(count))
    }
}
