import Glibc
import Posix
import TestSupport
import Testing

/// What a shell offers for a command line that is being typed.
@Suite struct CompletionTests {
    let daemon: DaemonProcess
    let session: RawSession

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
        for name in ["jobs/a", "jobs/b%20c", "mail"] {
            #expect(try session.ask("READ \(name)")?.hasPrefix("GRANTED") == true)
        }
    }

    private static func isInstalled(_ shell: String) -> Bool { access("/usr/bin/\(shell)", X_OK) == 0 }

    /// The completions of bash for the last word of a line.
    private func bash(_ words: String...) throws -> [String] {
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        let script = """
            source <(prwlock --generate-completion-script bash)
            COMP_WORDS=(prwlock \(quoted)) COMP_CWORD=\(words.count) COMP_TYPE=9 COMP_KEY=9
            COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE}
            $(complete -p prwlock | sed 's/.*-F \\([^ ]*\\).*/\\1/') prwlock "${COMP_WORDS[COMP_CWORD]}" ''
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        let shell = try ToolProcess(
            "/bin/bash", ["bash", "--norc", "-c", script], socket: daemon.socketPath)
        return try shell.rest().split(separator: "\n").map(String.init)
    }

    @Test("bash offers the names of locks, and commands after the name of `run`")
    func inBash() throws {
        #expect(try bash("status", "jobs/").contains("jobs/a"))
        #expect(try !bash("status", "jobs/").contains("mail"))
        #expect(try bash("release", "").contains("mail"))
        #expect(try bash("run", "-n", "ma").contains("mail"))
        #expect(try bash("run", "mail", "tru").contains("true"))
        #expect(try bash("stat").contains("status"))
    }

    @Test("bash offers no name that the terminal would obey, or that has a line feed")
    func harmlessNames() throws {
        for name in ["x/%1B%5B2J", "x/b%0Ac", "x/%E2%80%AEd", "x/fine"] {
            #expect(try session.ask("READ \(name)")?.hasPrefix("GRANTED") == true)
        }
        #expect(try bash("status", "x/") == ["x/fine"])
    }

    @Test(
        "the completion script is valid in fish", .enabled(if: isInstalled("fish"), "fish is not installed"))
    func inFish() throws {
        let home = try TemporaryDirectory()
        let shell = try ToolProcess(
            "/bin/sh",
            ["sh", "-c", "prwlock --generate-completion-script fish | fish --no-config --no-execute"],
            socket: daemon.socketPath, environment: ["HOME=\(home.path)"])
        #expect(try shell.status() == 0)
    }

    @Test("zsh offers the names of locks", .enabled(if: isInstalled("zsh"), "zsh is not installed"))
    func inZsh() throws {
        let home = try TemporaryDirectory()
        // Completion is a part of zsh's line editor, so zsh needs a terminal.
        let script = """
            prwlock --generate-completion-script zsh > \(home.path)/_prwlock
            zmodload zsh/zpty
            zpty shell zsh -f -i
            zpty -w shell 'PS1=; fpath=(\(home.path) $fpath); autoload -U compinit; compinit -u -D; echo rea''dy'
            while zpty -r shell line; do [[ $line == *ready* ]] && break; done
            zpty -n -w shell $'prwlock status ma\\t; echo do\\'\\'ne\\n'
            while zpty -r shell line; do print -r -- "$line"; [[ $line == *done* ]] && break; done
            """
        let shell = try ToolProcess(
            "/usr/bin/zsh", ["zsh", "-f", "-c", script], socket: daemon.socketPath,
            environment: ["HOME=\(home.path)"])
        #expect(try shell.rest().contains("prwlock status mail"))
    }

    @Test("completion starts no daemon, and prints nothing if none answers")
    func noDaemon() throws {
        let folder = try TemporaryDirectory()
        let tool = try ToolProcess(
            ToolProcess.programs + "/prwlock",
            ["prwlock", "---completion", "status", "--", "positional@0", "1", "0", "prwlock", "status", ""],
            socket: folder("none"))
        #expect(try tool.rest().trimmingPrefix("\n") == "")
        #expect(access(folder("none"), F_OK) != 0)
    }
}
