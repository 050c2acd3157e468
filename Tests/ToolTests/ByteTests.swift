import LockVocabulary
import Posix
import Seeded
import TestSupport
import Testing

/// Words of the command line arrive byte for byte, and mean the same as in every other client.
@Suite struct ByteTests {
    let daemon: DaemonProcess
    let session: RawSession

    init() throws {
        daemon = try DaemonProcess()
        session = try daemon.connect()
    }

    /// The bytes as a quoted word for bash.
    private func quoted(_ bytes: [UInt8]) -> String {
        "$'" + bytes.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "'"
    }

    private func bash(_ script: String) throws -> ToolProcess {
        try ToolProcess("/bin/bash", ["bash", "-c", script], socket: daemon.socketPath)
    }

    @Test("random arguments, program names and environments reach the command byte for byte")
    func arguments() throws {
        for seed in SeededGenerator.newSeeds {
            var random = SeededGenerator(seed: seed)
            // The parser is most likely to misread its own words.
            let starts: [[UInt8]] = [[], [], Array("-".utf8), Array("--".utf8), Array("---".utf8), [0xE9]]
            var words: [[UInt8]] = ["--", "--help", "-h", "---", "-%", "--=", "", "-"].map { Array($0.utf8) }
            for _ in 0..<60 {
                let length = random.number(0...12)
                words.append(
                    random.pick(starts) + (0..<length).map { _ in UInt8(random.number(1...255)) })
            }
            let print = "print map { \"$_\\0\" } $ENV{BYTES}, @ARGV"
            let variable: [UInt8] = [0xFF, 0x0A, 0xC3]
            for form in ["jobs perl", "jobs -- perl", "-n -- jobs perl"] {
                let command = try bash(
                    "BYTES=\(quoted(variable)) prwlock run \(form) -e '\(print)' -- "
                        + words.map(quoted).joined(separator: " "))
                let expected = ([variable] + words).map { $0 + [0] }.reduce([], +)
                #expect(try command.restInBytes() == expected, "\(form), seed \(seed)")
                #expect(try command.status() == 0)
            }
        }
    }

    @Test("the command line of -c, in each position, and the name of a program are passed on byte for byte")
    func commandLine() throws {
        let path = daemon.directory("prog")
        let line: [UInt8] = Array("printf '".utf8) + [0xE9, 0xFE] + Array("'".utf8)
        for form in ["-c \(quoted(line)) jobs", "jobs -c \(quoted(line))", "jobs --command \(quoted(line))"] {
            #expect(try bash("prwlock run \(form)").restInBytes() == [0xE9, 0xFE], "\(form)")
        }
        let program = quoted(Array(path.utf8) + [0xE9])
        let script = "printf '#!/bin/sh\\necho \"$1\"\\n' > \(program); chmod +x \(program);"
        #expect(try bash(script + "prwlock run jobs \(program) ran").rest() == "ran\n")
        #expect(try bash("prwlock run jobs \(program)x; echo $?").rest() == "127\n")
    }

    @Test("names and notes are plain text of any bytes; --encoded accepts an encoded name")
    func names() throws {
        let hold = "sh -c 'echo up; read a'"
        for (plain, encoded) in [
            (Array("a%20b".utf8), "a%2520b"), (Array("a b".utf8), "a%20b"), ([0x61, 0xFF], "a%FF"),
            ([0x61, 0xFE], "a%FE"), (Array("café".utf8), "caf%C3%A9"), (Array("-n".utf8), "-n"),
        ] {
            let command = try bash("prwlock run --note \(quoted(plain)) -- \(quoted(plain)) \(hold)")
            #expect(try command.nextLine() == "up")
            #expect(try session.ask("STATUS \(encoded)")?.hasSuffix(" note=\(encoded)") == true)
            #expect(try session.nextLine() == "END 1")
            let other = try bash("prwlock run -n --encoded -- \(encoded) true; echo $?")
            #expect(try other.rest() == "1\n")
            command.enter()
            #expect(try command.status() == 0)
        }
        for wrong in ["'a b'", "%41", "''", quoted([0xFF])] {
            #expect(try bash("prwlock run --encoded \(wrong) true; echo $?").rest() == "64\n")
        }
    }

    @Test(
        "tables show the plain name with control characters escaped; JSON has both the plain and the encoded name"
    )
    func shownNames() throws {
        #expect(try session.ask("WRITE a%20%1B%FF%C3%A9")?.hasPrefix("GRANTED") == true)
        let shown = "a \\x1B\\xFFé"
        #expect(try ToolProcess(["list"], at: daemon).rest().hasSuffix("  \(shown)\n"))
        let status = try ToolProcess(["status", "--encoded", "a%20%1B%FF%C3%A9"], at: daemon)
        #expect(try status.rest().hasPrefix("\(shown): held (write)"))
        for command in ["list --json", "list --json 'a '", "list --json --encoded a%20%1B"] {
            let list = try ToolProcess(shell: "prwlock \(command)", at: daemon).rest()
            #expect(list.contains(#""name":"a \u001B\#u{FFFD}é","encoded":"a%20%1B%FF%C3%A9""#), "\(command)")
        }
    }

    @Test("every subcommand fails if its output cannot be written")
    func fullDisk() throws {
        #expect(try session.ask("WRITE jobs") == "GRANTED jobs write token=1")
        for command in [
            "status jobs", "status jobs --json", "list", "list --json", "sessions", "stats", "stats --json",
            "ping", "ping --json", "validate jobs 1", "--help", "run --help", "--version",
            "--generate-completion-script bash", "hold --pid $$ --print-token other",
        ] {
            let full = try ToolProcess(shell: "prwlock \(command) >/dev/full; echo $?", at: daemon)
            #expect(try full.rest() == "74\n", "\(command)")
            #expect(try full.complaints().contains("cannot be written"), "\(command)")
        }
        for option in ["--help", "--version"] {
            let full = try ToolProcess(shell: "prwlockd \(option) >/dev/full; echo $?", at: daemon)
            #expect(try full.rest() == "74\n", "prwlockd \(option)")
        }
        // If the command cannot print the token, it must release the lock.
        #expect(try session.ask("WRITE other wait=0")?.hasPrefix("GRANTED") == true)
    }
}
