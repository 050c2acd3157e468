import Dispatch
import LockVocabulary
import Posix

/// Tokens that may be given out because the disk already says so, and the queue that has the disk say more (G7).
///
///   main thread                        utility queue
///   ───────────                        ─────────────
///   wants more ──────── pages ───────▶ writes, waits for the disk
///   (serves on)                           │
///   allows more ◀─ pages, outcome ────────┘
///
/// The main thread never waits for the disk. It wants more when less than a block is left, gives out what it has until the
/// answer comes, and refuses requests after that. A disk that takes nothing is tried again after a pause, which doubles.
///
/// Invariants:
/// 1. `reserved` only rises, and a page on the disk has it before it has this value.
/// 2. The pages are here, or with the one piece of work that writes them: two writes never meet.
@MainActor final class TokenReserve {
    /// The first token that may be given out.
    nonisolated let first: Token
    /// Whether the daemon before this one ended without writing so.
    nonisolated let followsUncleanEnd: Bool
    /// The last token that may be given out.
    private(set) var reserved: Token
    /// How many tokens are reserved at a time.
    let block: UInt64

    /// A serial queue of its own: the disk may take long, and whatever else is slow must not make tokens wait.
    private let queue = DispatchQueue(label: "prwlockd.tokens", qos: .utility)
    /// Nil while the queue has them.
    private var pages: TokenPages?
    private var isWanted = false
    /// How long to wait after the last try before the next; nil if it succeeded.
    private var pause: Duration?
    private var isPausing = false
    /// Where the second file is to be made anew; nil if it stands where it is.
    private var newPlace: Place?
    /// The last token that was given out, once the daemon ends; nothing else is written from then on.
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
    /// How long the end of the daemon waits for the disk at the most.
    private static let endPatience = Duration.seconds(1)

    /// Reserves the first two blocks, and waits for the disk this once.
    ///
    /// - Parameter floor: below which no token is given out, whatever the files say.
    init(_ pages: TokenPages, block: UInt64, floor: UInt64 = 0) throws(SystemError) {
        var pages = pages
        self.block = block
        followsUncleanEnd = pages.followsUncleanEnd
        // A page that was lost may have reserved two blocks at the most.
        let past = max(pages.last + (pages.hasLostPage ? 2 * block : 0), floor)
        first = Token(rawValue: past + 1)
        reserved = Token(rawValue: past + 2 * block)
        try pages.write(upTo: reserved, isDone: false)
        self.pages = pages
    }

    /// Reports the outcome of each try from now on.
    func begin(_ report: @escaping @MainActor (SystemError?) -> Void) { self.report = report }

    /// Reserves another block; does nothing while that is under way.
    func extend() {
        isWanted = true
        proceed()
    }

    /// Makes the file beside the socket anew: the one there was has been removed with its folder.
    func moveSecondFile(to place: Place) {
        newPlace = place
        proceed()
    }

    /// Has the disk say that the daemon ended in order, after this token.
    ///
    /// - Parameter next: is called once the disk has it, refuses it, or has taken too long.
    func finish(last: Token, _ next: @escaping @MainActor () -> Void) {
        self.last = last
        whenFinished = next
        MainQueue.after(Self.endPatience) { self.whenFinished.take()?() }
        proceed()
    }

    /// Hands the pages to the queue with the next task, if they are here and there is one.
    private func proceed() {
        guard let pages, let task = nextTask else { return }
        do throws(SystemError) { try DispatchRoom.checkThread() } catch { return take(pages, task, error) }
        self.pages = nil
        queue.async {
            var pages = pages
            let fault = Self.carryOut(task, &pages)
            DispatchQueue.main.async { [pages] in self.take(pages, task, fault) }
        }
    }

    private var nextTask: Task? {
        if let last { return whenFinished == nil ? nil : .finish(last) }
        if let place = newPlace { return .move(place, upTo: reserved) }
        return isWanted && !isPausing ? .reserve(upTo: Token(rawValue: reserved.rawValue + block)) : nil
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
                reserved = upTo
                isWanted = false
                pause = nil
            } else {
                retryLater()
            }
            report(fault)
        case .move:
            // Where the second file cannot be made, the other one is enough, and the next daemon begins with the clock all the same.
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
