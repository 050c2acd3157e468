import CLinux
import Glibc
import LockVocabulary
import Posix

/// Tokens that may be given out because the disk already says so, and the thread that has the disk say more (G7).
///
///   serving thread                      helper thread
///   ──────────────                      ─────────────
///   wants more ───────── wish ────────▶ writes, waits for the disk, as often as it takes
///   (goes on serving)                      │
///   allows the server more ◀── answer ─────┘
///
/// The serving thread never waits for the disk: it says that it wants more when less than a block is left, and until the
/// answer comes it gives out what it has, and then none.
///
/// Invariants:
/// 1. `reserved` only rises, and a page on the disk says it before it is said here.
/// 2. Only the helper touches the files, from its start on.
final class TokenReserve: Sendable {
    /// How many tokens are reserved at a time.
    private let block: UInt64
    private let wish: OwnedDescriptor
    private let answer: OwnedDescriptor
    private let state: Guarded<State>

    /// The folder and the name of a file.
    struct Place {
        let folder: String
        let name: String
    }

    private struct State {
        var reserved: Token
        var isWanted = false
        /// The last token that was given out, once nobody gives out any more.
        var last: Token?
        var isDone = false
        /// Where the file beside the socket is to be made anew; nil if it stands where it is.
        var newPlace: Place?
        /// Why the disk does not take it; nil if it does.
        var fault: SystemError?
    }

    /// The first token that may be given out.
    let first: Token
    /// Whether the daemon before this one ended without saying so.
    let followsUncleanEnd: Bool

    private static let longestPause: Int32 = 5_000

    /// Reserves the first two blocks, and waits for the disk this once.
    ///
    /// - Parameter floor: below which no token is given out, whatever the files say.
    init(_ pages: consuming TokenPages, block: UInt64, floor: UInt64 = 0) throws(SystemError) {
        var pages = pages
        self.block = block
        followsUncleanEnd = pages.followsUncleanEnd
        // A page that was lost may have reserved two blocks at the most.
        let past = max(pages.last + (pages.hasLostPage ? 2 * block : 0), floor)
        first = Token(rawValue: past + 1)
        let reserved = Token(rawValue: past + 2 * block)
        try pages.write(upTo: reserved, isDone: false)
        state = Guarded(State(reserved: reserved))
        wish = try Self.makeEventDescriptor()
        answer = try Self.makeEventDescriptor()
        try startHelper(pages)
    }

    private static func makeEventDescriptor() throws(SystemError) -> OwnedDescriptor {
        let number = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard number >= 0 else { throw .last("eventfd") }
        return OwnedDescriptor(owning: number)
    }

    // MARK: - The serving thread

    /// The descriptor's number, readable when there is an answer.
    var rawValue: Int32 { answer.rawValue }

    /// The last token that may be given out.
    var reserved: Token { state.withLock { $0.reserved } }

    /// Says how many may still be given out; asks for more when it is less than a block.
    func has(left: UInt64) {
        guard left < block else { return }
        let isNew = state.withLock { state in
            defer { state.isWanted = true }
            return !state.isWanted
        }
        if isNew { Self.ring(wish) }
    }

    /// Has the file beside the socket made anew: the one there was has been removed with its folder.
    func moveSecondFile(to place: Place) {
        state.withLock { $0.newPlace = place }
        Self.ring(wish)
    }

    /// Takes note of the answer. Returns why the disk does not take it; nil if it does.
    func takeAnswer() -> SystemError? {
        Self.silence(answer)
        return state.withLock { $0.fault }
    }

    /// Has the file say that the daemon ended in order, after this token; waits for the disk, but not for ever.
    func finish(last: Token) {
        state.withLock { $0.last = last }
        Self.ring(wish)
        let end = BootClock.now() + 1_000_000_000
        while !state.withLock({ $0.isDone }), BootClock.now() < end {
            Self.wait(answer, milliseconds: 1_000)
            Self.silence(answer)
        }
    }

    // MARK: - The helper thread

    private func startHelper(_ pages: consuming TokenPages) throws(SystemError) {
        // A box, so that the thread's one argument can carry both.
        final class Start {
            let reserve: TokenReserve
            var pages: TokenPages?
            init(_ reserve: TokenReserve, _ pages: consuming TokenPages) {
                self.reserve = reserve
                self.pages = consume pages
            }
        }
        let start = Unmanaged.passRetained(Start(self, pages))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                if let pages = start.pages.take() { start.reserve.help(pages) }
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw SystemError(code: code, call: "pthread_create")
        }
        pthread_detach(thread)
    }

    private func help(_ pages: consuming TokenPages) {
        var pages = pages
        var pause: Int32 = -1
        while true {
            Self.wait(wish, milliseconds: pause)
            Self.silence(wish)
            let state = state.withLock { state in
                defer { state.newPlace = nil }
                return state
            }
            if let place = state.newPlace { Self.move(&pages, to: place, upTo: state.reserved) }
            do throws(SystemError) {
                if let last = state.last {
                    try pages.write(upTo: last, isDone: true)
                    self.state.withLock { $0.isDone = true }
                    Self.ring(answer)
                    return
                }
                guard state.isWanted else { continue }
                let reserved = Token(rawValue: state.reserved.rawValue + block)
                try pages.write(upTo: reserved, isDone: false)
                self.state.withLock { state in
                    state.reserved = reserved
                    state.isWanted = false
                    state.fault = nil
                }
                pause = -1
            } catch {
                self.state.withLock { $0.fault = error }
                if state.last != nil { return }
                pause = pause < 0 ? 50 : min(2 * pause, Self.longestPause)
            }
            Self.ring(answer)
        }
    }

    /// Where it cannot be made, the other file is enough, and the next daemon begins with the clock all the same.
    private static func move(_ pages: inout TokenPages, to place: Place, upTo: Token) {
        do throws(SystemError) {
            let folder = try DirectoryDescriptor(place.folder)
            try pages.moveSecond(to: TokenFile(in: folder, named: place.name), upTo: upTo)
        } catch {}
    }

    // MARK: - Bells

    private static func ring(_ bell: borrowing OwnedDescriptor) {
        var one: UInt64 = 1
        write(bell.rawValue, &one, 8)
    }

    private static func silence(_ bell: borrowing OwnedDescriptor) {
        var count: UInt64 = 0
        read(bell.rawValue, &count, 8)
    }

    private static func wait(_ bell: borrowing OwnedDescriptor, milliseconds: Int32) {
        var request = pollfd(fd: bell.rawValue, events: Int16(POLLIN), revents: 0)
        poll(&request, 1, milliseconds)
    }
}
