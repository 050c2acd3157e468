import CPeers
import Glibc
import PRWLock

/// A participant in C or Swift: another process of this program.
enum NativePart {
    static let argument = "--take-part"

    /// Serves orders until there are no more; returns the exit status. The daemon's socket is that of `PRWLOCK_SOCKET`.
    static func serve(_ peer: String, index: Int32, folder: String) -> Int32 {
        if peer == "swift-cached" || peer == "swift" {
            return SwiftPart(peer, index: index, folder: folder).serve()
        }
        var part = peers_part()
        let error = peers_open(peer, folder, index, &part)
        guard error == 0 else {
            writeError("\(peer): \(error < 0 ? "no such peer" : String(cString: strerror(error)))\n")
            return 1
        }
        return peers_serve(&part)
    }
}

/// The Swift client for programs without concurrency.
private final class SwiftPart {
    private let lock: BlockingRWLock
    private var turn = peers_turn()

    init(_ peer: String, index: Int32, folder: String) {
        lock = BlockingClient(caches: peer == "swift-cached").lock(peer)
        let error = peers_turn_open(&turn, folder, index)
        precondition(error == 0, "\(folder): error \(error)")
    }

    func serve() -> Int32 {
        var part = peers_part()
        part.context = Unmanaged.passUnretained(self).toOpaque()
        part.pairs = { context, kind, count in
            guard let context else { return -1 }
            do {
                return try Unmanaged<SwiftPart>.fromOpaque(context).takeUnretainedValue().make(kind, count)
            } catch {
                writeError("\(error)\n")
                return -1
            }
        }
        return withExtendedLifetime(self) { peers_serve(&part) }
    }

    private func make(_ kind: peers_kind, _ count: UInt64) throws -> Int64 {
        switch kind {
        case PEERS_READ:
            for _ in 0..<count { try lock.withReadLock {} }
        case PEERS_TURNS:
            var counted: Int64 = 0
            for _ in 0..<count {
                try lock.withWriteLock { if peers_took_turn(&turn) { counted += 1 } }
            }
            return counted
        case PEERS_MIXED:
            for _ in 0..<count {
                if peers_writes_next(&turn) { try lock.withWriteLock {} } else { try lock.withReadLock {} }
            }
        default:
            for _ in 0..<count { try lock.withWriteLock {} }
        }
        return Int64(count)
    }
}
