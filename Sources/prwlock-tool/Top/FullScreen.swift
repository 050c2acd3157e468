import Glibc

/// The terminal of a program that draws on all of the screen, and the way back to what it was.
///
/// On entry the terminal shows its other screen without a cursor, and passes each key on at once without showing it. Keys
/// for signals (Ctrl-C, Ctrl-Z) stay what they are. `leave` undoes all of that. Whether there is something to undo stands in
/// memory that a forked process shares, so that one of them can undo what the other one did before it was killed.
struct FullScreen {
    private let before: termios
    private let during: termios
    /// Not 0 while the terminal is, or may be, changed.
    private let isChanged: UnsafeMutablePointer<Int32>

    /// Reads the state of the terminal; nil if standard input is none.
    init?() {
        var state = termios()
        let size = MemoryLayout<Int32>.stride
        guard tcgetattr(STDIN_FILENO, &state) == 0,
            let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
            memory != MAP_FAILED
        else { return nil }
        isChanged = memory.bindMemory(to: Int32.self, capacity: 1)
        before = state
        state.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
        state.c_iflag &= ~tcflag_t(IXON)
        // `read` returns as soon as there is one byte.
        state.c_cc.6 = 1
        state.c_cc.5 = 0
        during = state
    }

    var isOn: Bool { isChanged.pointee != 0 }

    /// Whether this process may draw: a shell has not put it into the background.
    static var isInForeground: Bool { tcgetpgrp(STDOUT_FILENO) == getpgrp() }

    func enter() {
        isChanged.pointee = 1
        var state = during
        tcsetattr(STDIN_FILENO, TCSADRAIN, &state)
        writeAll("\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J", to: STDOUT_FILENO)
    }

    /// Does nothing if the terminal is not changed. What was typed and not read is dropped, as it was meant for the screen.
    func leave() {
        guard isOn else { return }
        // A terminal that has no other screen, such as the console, is left empty.
        writeAll("\u{1B}[m\u{1B}[H\u{1B}[2J\u{1B}[?1049l\u{1B}[?25h", to: STDOUT_FILENO)
        var now = termios()
        // Only from our own state: after the death of its job, a shell may have set the terminal for its own use.
        if tcgetattr(STDIN_FILENO, &now) == 0, now.c_lflag == during.c_lflag, now.c_iflag == during.c_iflag {
            tcflush(STDIN_FILENO, TCIFLUSH)
            var state = before
            tcsetattr(STDIN_FILENO, TCSANOW, &state)
        }
        isChanged.pointee = 0
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
