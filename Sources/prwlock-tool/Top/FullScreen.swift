import Glibc

/// The terminal of a program that draws on all of the screen, and the way back to what it was.
///
/// On entry the terminal shows its other screen without a cursor, and passes each key on at once without showing it. Keys
/// for signals (Ctrl-C, Ctrl-Z) stay what they are. `leave` undoes all of that. Whether there is something to undo stands in
/// memory that a forked process shares, so that one of them can undo what the other one did before it was killed.
struct FullScreen {
    private struct Memory {
        /// Whether the terminal is, or may be, changed.
        var isChanged = false
        /// Its state before that.
        var before = termios()
    }

    private let memory: UnsafeMutablePointer<Memory>

    /// Makes the memory; nil if there is none left, or if standard input is no terminal.
    init?() {
        let size = MemoryLayout<Memory>.stride
        guard isatty(STDIN_FILENO) == 1,
            let start = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
            start != MAP_FAILED
        else { return nil }
        memory = start.bindMemory(to: Memory.self, capacity: 1)
        memory.initialize(to: Memory())
    }

    var isOn: Bool { memory.pointee.isChanged }

    /// Whether this process may draw: a shell has not put it into the background.
    static var isInForeground: Bool { tcgetpgrp(STDOUT_FILENO) == getpgrp() }

    func enter() {
        // Only now: while this process was in the background, a shell may have had the terminal in a state of its own.
        guard !isOn, tcgetattr(STDIN_FILENO, &memory.pointee.before) == 0 else { return }
        memory.pointee.isChanged = true
        var state = Self.raw(memory.pointee.before)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &state)
        writeAll("\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J", to: STDOUT_FILENO)
    }

    /// Does nothing if the terminal is not changed. What was typed and not read is dropped, as it was meant for the screen.
    func leave() {
        guard isOn else { return }
        // A terminal that has no other screen, such as the console, is left empty.
        writeAll("\u{1B}[m\u{1B}[H\u{1B}[2J\u{1B}[?1049l\u{1B}[?25h", to: STDOUT_FILENO)
        var (now, before) = (termios(), memory.pointee.before)
        let during = Self.raw(before)
        // Only from our own state: after the death of its job, a shell may have set the terminal for its own use.
        if tcgetattr(STDIN_FILENO, &now) == 0, now.c_lflag == during.c_lflag, now.c_iflag == during.c_iflag {
            tcflush(STDIN_FILENO, TCIFLUSH)
            tcsetattr(STDIN_FILENO, TCSANOW, &before)
        }
        memory.pointee.isChanged = false
    }

    /// The state in which a key is read at once and not shown.
    private static func raw(_ state: termios) -> termios {
        var state = state
        state.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
        state.c_iflag &= ~tcflag_t(IXON)
        // `read` returns as soon as there is one byte: VMIN and VTIME.
        state.c_cc.6 = 1
        state.c_cc.5 = 0
        return state
    }

    /// The columns and rows of the terminal; those of a small one if it does not say.
    static var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }
}
