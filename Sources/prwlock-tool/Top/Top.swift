import CLinux
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The running `prwlock top`: looks at the daemon, draws, and obeys keys and signals.
struct Top: ~Copyable {
    private let choice: DaemonChoice
    private let interval: Duration
    private let pen: Pen
    private let ward: ScreenGuardian.Ward

    private var source: TopSource?
    private var state: TopState
    private var sample = TopSample()
    private var problem: String?
    private var keys = KeyDecoder()
    /// What the terminal shows; nil if that is unknown.
    private var shown: Screen?
    /// When to look at the daemon next.
    private var nextLook = Deadline(after: .zero)
    /// When to look at the process next, as that takes many questions.
    private var nextProcess = Deadline(after: .zero)

    /// How long to wait for the rest of a key's bytes.
    private static let keyPatience = Duration.milliseconds(50)
    /// The least time between two attempts to connect.
    private static let pause = Duration.seconds(1)
    private static let processInterval = Duration.seconds(3)

    init(
        _ choice: DaemonChoice, _ state: TopState, interval: Duration, _ pen: Pen,
        _ ward: consuming ScreenGuardian.Ward
    ) throws(Complaint) {
        self.choice = choice
        self.state = state
        self.interval = interval
        self.pen = pen
        self.ward = ward
        source = try TopSource(choice, mayStart: true)
    }

    /// Runs until a key or a signal ends it, and leaves the terminal as it was.
    mutating func run() {
        repeat {
            if nextLook.isOver { look() }
            draw()
        } while wait()
        ward.screen.leave()
    }

    // MARK: - The daemon

    private mutating func look() {
        nextLook = state.isPaused ? .never : Deadline(after: interval)
        let rows = FullScreen.size.rows
        var question = TopQuestion(
            order: state.order, prefix: NameAlphabet.encode(Array(state.prefix.utf8)),
            rows: min(max(8, rows), Request.mostRanked),
            lock: state.chosenLock)
        if case .process(let process) = state.view, sample.process?.process != process || nextProcess.isOver {
            question.process = process
            nextProcess = Deadline(after: Self.processInterval)
        }
        do throws(Complaint) {
            if source == nil { source = try TopSource(choice, mayStart: false) }
            guard var new = try source?.ask(question) else { return }
            if case .process = state.view, question.process == nil { new.process = sample.process }
            sample = new
            problem = nil
            state.follow(sample)
        } catch {
            // An answer may be on its way, so this connection cannot be asked again.
            source = nil
            nextLook = Deadline(after: max(interval, Self.pause))
            problem = "trying again: \(error.line)"
        }
    }

    private mutating func revoke(_ revocation: Revocation) {
        do throws(Complaint) {
            if source == nil { source = try TopSource(choice, mayStart: false) }
            try source?.revoke(revocation)
            state.message = "revoked: \(revocation.lock.shown), token \(revocation.token)"
        } catch {
            // After an answer the connection is in order; else one may be on its way.
            if error.code != Complaint.notPermitted, error.code != Complaint.no { source = nil }
            state.message = error.line
        }
        look()
    }

    // MARK: - The terminal

    private mutating func draw() {
        guard FullScreen.isInForeground else { return }
        if !ward.screen.isOn {
            ward.screen.enter()
            shown = nil
        }
        let size = FullScreen.size
        let layout = TopLayout(
            columns: size.columns, rows: size.rows, state: state, sample: sample, problem: problem)
        let screen = layout.screen
        let changes = screen.changes(from: shown, with: pen)
        if !changes.text.isEmpty { writeAll(changes.text, to: STDOUT_FILENO) }
        shown = screen
    }

    /// Waits for a key, a signal, or the time to look again. Returns whether to go on.
    private mutating func wait() -> Bool {
        let canRead = ward.screen.isOn && FullScreen.isInForeground
        var requests = [ward.signals.rawValue, ward.guardian.rawValue, canRead ? STDIN_FILENO : -1].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        let keyEnd = keys.isIncomplete ? Deadline(after: Self.keyPatience) : .never
        // In the background, look now and then whether a shell has put this process into the foreground.
        let end = min(nextLook, keyEnd, canRead ? .never : Deadline(after: interval))
        poll(&requests, nfds_t(requests.count), end.milliseconds)
        takeSignals()
        let isReady = requests.map { $0.revents != 0 }
        if isReady[1] { return false }
        if isReady[2] { return readKeys() }
        return keyEnd.isOver ? press(keys.flush()) : true
    }

    private mutating func readKeys() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        if count > 0 { return press(keys.decode(bytes.prefix(count))) }
        // The terminal has gone, unless a shell has put this process into the background just now.
        return !FullScreen.isInForeground
    }

    /// Carries out the keys one after another, because a key acts on what the one before it has shown.
    private mutating func press(_ keys: [Key]) -> Bool {
        for key in keys {
            if key == .redraw { shown = nil }
            switch state.press(key, over: sample) {
            case .none: break
            case .ask: look()
            case .revoke(let revocation): revoke(revocation)
            case .quit: return false
            }
        }
        if state.isPaused { nextLook = .never }
        return true
    }

    private mutating func takeSignals() {
        while let signal = ward.signals.next() {
            switch Int32(signal.ssi_signo) {
            case SIGWINCH: shown = nil
            case SIGCHLD, SIGURG: break
            // After a stop that this process could not prepare, the terminal may show anything.
            case SIGCONT: shown = nil
            case let number:
                ward.screen.leave()
                ward.signals.act(on: number)
                // Only a signal that stops gets here.
                shown = nil
                nextLook = Deadline(after: .zero)
            }
        }
    }
}
