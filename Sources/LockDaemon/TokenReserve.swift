import Dispatch
import LockVocabulary
import Posix

/// The tokens that the disk lets the daemon give out, and the queue that writes more to the disk (G7).
///
///   main thread                        utility queue
///   ───────────                        ─────────────
///   wants more ──────── pages ───────▶ writes, waits for the disk
///   (serves on)                           │
///   allows more ◀─ pages, outcome ────────┘
///
/// The main thread never waits for the disk. It requests more tokens when less than a block is left, or two for a worker of a
/// keeper. Until the answer comes it gives out the rest, and then it refuses requests. If the disk takes nothing, the reserve
/// tries again after a pause, which doubles each time.
///
/// Invariants:
/// 1. `reserved` only rises, and only to a value that a page on the disk has.
/// 2. Either the reserve has the pages, or the one piece of work that writes them. So two writes never overlap.
@MainActor final class TokenReserve {
    /// The first token that the daemon may give out.
    nonisolated let first: Token
    /// Whether the daemon before this one may have ended while a lock was held.
    nonisolated let followsUncleanEnd: Bool
    /// The last token that the daemon may give out.
    private(set) var reserved: Token
    /// The number of tokens that one write reserves.
    let block: UInt64

    /// A queue for this alone: the disk may take long, and other slow work must not delay tokens.
    private let queue = DispatchQueue(label: "prwlockd.tokens", qos: .utility)
    /// Nil while the queue has them.
    private var pages: TokenPages?
    /// The highest token of a page, which may not be on the disk.
    private var written: Token
    private var isWanted = false
    /// The pause after the last try; nil if it succeeded.
    private var pause: Duration?
    private var isPausing = false
    /// The new place of the second file; nil if it stays where it is.
    private var newPlace: Place?
    /// The last token given out, once the daemon ends. From then on the reserve writes nothing else.
    private var last: Token?
    private var whenFinished: (@MainActor () -> Void)?
    private var report: @MainActor (SystemError?) -> Void = { _ in }

    private enum Task {
        case reserve(upTo: Token)
        case move(Place, upTo: Token)
        case finish(Token)
    }

    /// The folder and the name of a file.
    struct Place: Sendable {
        let folder: String
        let name: String
    }

    private static let shortestPause = Duration.milliseconds(50)
    private static let longestPause = Duration.seconds(5)
    /// The longest wait for the disk at the end of the daemon.
    private static let endPatience = Duration.seconds(1)

    /// Reserves the first two blocks, and waits for the disk.
    ///
    /// - Parameters:
    ///   - floor: all tokens are above this, whatever the files have.
    ///   - goesOn: whether the ledger has the next token. Then what the disk has is enough at first, if it has anything; call
    ///     `ensure` when it is known how much of it is left.
    init(_ pages: TokenPages, block: UInt64, floor: UInt64 = 0, goesOn: Bool = false) throws(SystemError) {
        self.block = block
        followsUncleanEnd = pages.followsUncleanEnd
        // A damaged page may have reserved two blocks at the most.
        let past = max(pages.last + (pages.hasLostPage ? 2 * block : 0), floor)
        first = Token(rawValue: past + 1)
        written = Token(rawValue: past)
        reserved = Token(rawValue: pages.settled ?? 0)
        self.pages = pages
        if !goesOn || pages.settled == nil { try reserveTwoBlocks() }
    }

    /// Reserves two blocks and waits for the disk, if less than a block is left.
    func ensure(left: UInt64) throws(SystemError) {
        if left < block { try reserveTwoBlocks() }
    }

    private func reserveTwoBlocks() throws(SystemError) {
        let upTo = Token(rawValue: written.rawValue + 2 * block)
        try pages?.write(upTo: upTo, isDone: false)
        (written, reserved) = (upTo, upTo)
    }

    /// Reports the outcome of each try from now on: nil, or the reason why the disk does not take it.
    func begin(_ report: @escaping @MainActor (SystemError?) -> Void) { self.report = report }

    /// Reserves another block, if no such request is open.
    func extend() {
        isWanted = true
        proceed()
    }

    /// Makes the file beside the socket again, after another process has removed it with its folder.
    func moveSecondFile(to place: Place) {
        newPlace = place
        proceed()
    }

    /// Writes that the daemon ended in order, after this token.
    ///
    /// - Parameter next: runs once the disk has the record, refuses it, or takes too long.
    func finish(last: Token, _ next: @escaping @MainActor () -> Void) {
        self.last = last
        whenFinished = next
        MainQueue.after(Self.endPatience) { self.whenFinished.take()?() }
        proceed()
    }

    /// Passes the pages and the next task to the queue, if the pages are here and a task is open.
    private func proceed() {
        guard let pages, let task = nextTask else { return }
        do throws(SystemError) { try DispatchRoom.checkThread() } catch {
            guard case .finish = task else { return take(pages, task, error) }
            // At the end no session waits, and a record that is not written costs the next daemon a time of grace.
            var pages = pages
            let fault = Self.carryOut(task, &pages)
            return take(pages, task, fault)
        }
        self.pages = nil
        queue.async {
            var pages = pages
            let fault = Self.carryOut(task, &pages)
            DispatchQueue.main.async { [pages] in self.take(pages, task, fault) }
        }
    }

    private var nextTask: Task? {
        if let last { return whenFinished == nil ? nil : .finish(last) }
        if let place = newPlace { return .move(place, upTo: written) }
        return isWanted && !isPausing ? .reserve(upTo: Token(rawValue: written.rawValue + block)) : nil
    }

    private nonisolated static func carryOut(_ task: Task, _ pages: inout TokenPages) -> SystemError? {
        do throws(SystemError) {
            switch task {
            case .reserve(let upTo): try pages.write(upTo: upTo, isDone: false)
            case .finish(let last): try pages.write(upTo: last, isDone: true)
            case .move(let place, let upTo):
                let folder = try DirectoryDescriptor(place.folder)
                try pages.moveSecond(to: TokenFile(in: folder, named: place.name), upTo: upTo)
            }
            return nil
        } catch {
            return error
        }
    }

    private func take(_ pages: TokenPages, _ task: Task, _ fault: SystemError?) {
        self.pages = pages
        switch task {
        case .reserve(let upTo):
            if fault == nil {
                (written, reserved) = (upTo, upTo)
                isWanted = false
                pause = nil
            } else {
                retryLater()
            }
            report(fault)
        case .move:
            // Where the second file cannot be made, the other one is enough, and the next daemon begins with the clock
            // all the same.
            newPlace = nil
        case .finish: whenFinished.take()?()
        }
        proceed()
    }

    private func retryLater() {
        let pause = pause.map { min($0 * 2, Self.longestPause) } ?? Self.shortestPause
        self.pause = pause
        isPausing = true
        MainQueue.after(pause) {
            self.isPausing = false
            self.proceed()
        }
    }
}
