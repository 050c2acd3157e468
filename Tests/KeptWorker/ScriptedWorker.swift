import CLinux
import Glibc
import Keeping
import Posix

/// A worker that does what the test says, and reports what happens to it.
///
/// The test's channel is kept, so the next worker goes on with it.
final class ScriptedWorker {
    private var kept: KeptDescriptors
    private let test: TestChannel
    private let signals: Int32

    static func start() -> ScriptedWorker {
        let names: [String] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"]
        let listening = names.compactMap { name in
            getenv(name).map {
                "\(name)=\(String(cString: $0) == "\(getpid())" ? "own" : String(cString: $0))"
            }
        }
        guard let kept = KeptDescriptors.takeInheritance() else { exit(65) }
        return ScriptedWorker(kept, listening)
    }

    private init(_ inherited: consuming KeptDescriptors, _ listening: [String]) {
        kept = inherited
        guard let channel = kept.takeOne("test") else { exit(65) }
        test = TestChannel(channel)
        var mask = sigset_t()
        sigemptyset(&mask)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1] { sigaddset(&mask, signal) }
        signals = signalfd(-1, &mask, 0)
        var words = ["start", "\(getpid())"]
        if let before = kept.before {
            words.append("restarts=\(before.restarts)")
            words.append("signal=\(before.signal)")
            if before.hasCrashed { words.append("crashed") }
            if before.wasReplaced { words.append("replaced") }
            words.append(before.output.map { "wrote=\($0.bytes)/\($0.calls)" } ?? "wrote=?")
        }
        if kept.mustStartEmpty { words.append("empty") }
        words += kept.names.map { "kept=\($0)" } + listening
        test.say(words.joined(separator: " "))
    }

    func run() -> Never {
        while true {
            var events = [
                pollfd(fd: test.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
                pollfd(fd: kept.channel.rawValue, events: Int16(POLLIN), revents: 0),
            ]
            poll(&events, 3, -1)
            if events[2].revents != 0, kept.channel.isKeeperGone {
                test.say("alone")
                exit(0)
            }
            if events[1].revents != 0 {
                var info = signalfd_siginfo()
                read(signals, &info, MemoryLayout<signalfd_siginfo>.size)
                test.say("signal \(info.ssi_signo)")
            }
            if events[0].revents != 0 { obey(test.next()) }
        }
    }

    private func obey(_ order: String) {
        let words = order.split(separator: " ").map(String.init)
        let number = words.count > 1 ? Int32(words[1]) ?? 0 : 0
        do {
            switch words.first {
            case "exit": exit(number)
            case "crash": abort()
            case "pid": test.say("pid \(getpid())")
            case "keep":
                let file = linux_memory_file(words[1])
                write(file, words[2], words[2].utf8.count)
                try kept.channel.keep(words[1], [file])
                close(file)
            case "drop": try kept.channel.drop(words[1])
            case "read":
                let files = kept.take(words[1]) ?? []
                test.say(files.isEmpty ? "nothing" : files.map(contents).joined(separator: " "))
            case "contents": test.say(contents(number))
            case "ready": try kept.channel.ready()
            case "pardon": try kept.channel.pardon()
            case "leave": try kept.channel.leave()
            case "watch": try kept.channel.watch(milliseconds: UInt32(number))
            case "write":
                let null = open("/dev/null", O_WRONLY)
                for _ in 0..<number { write(null, "0123456789", 10) }
            case nil: exit(0)
            default: exit(64)
            }
            if !["pid", "read", "contents"].contains(words[0]) { test.say("done") }
        } catch { test.say("\(error)") }
    }

    private func contents(_ file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = pread(file, &bytes, bytes.count, 0)
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }
}

/// The socket to the test; each message is a text.
struct TestChannel: ~Copyable {
    private let socket: OwnedDescriptor

    init(_ socket: consuming OwnedDescriptor) { self.socket = socket }

    var rawValue: Int32 { socket.rawValue }

    func say(_ text: String) { send(socket.rawValue, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }

    /// The next message; empty at the end of the test.
    func next() -> String {
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = recv(socket.rawValue, &bytes, bytes.count, 0)
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }
}
