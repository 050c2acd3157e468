import ArgumentParser
import LockVocabulary
import LockWire
import PRWLock

/// `prwlock wait`: waits until locks are free, or may be read, without taking them.
struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until a lock is free, without taking it.",
        discussion: """
            It promises nothing about the next moment: another process may take the lock before this command ends. For work \
            that must not run beside a holder, use `prwlock run`.
            """)

    @Flag(
        name: [.customShort("s"), .customLong("shared"), .customLong("read")],
        help: "Wait until the lock may be read: no writer holds it or waits for it.")
    var forReading = false

    @Flag(
        name: [.customShort("n"), .customLong("nb"), .customLong("nonblock"), .customLong("nonblocking")],
        help: "Look once rather than wait.")
    var nonblock = false

    @Option(
        name: [.customShort("w", allowingJoined: true), .customLong("wait"), .customLong("timeout")],
        help: ArgumentHelp(
            "Give up after so many seconds; also 250ms, 2m, 1h.", valueName: "seconds"))
    var wait: Seconds?

    @Option(
        name: [.customShort("E", allowingJoined: true), .customLong("conflict-exit-code")],
        help: ArgumentHelp("The exit code when a lock is not free, with -n or -w.", valueName: "number"))
    var conflictExitCode: UInt8 = 1

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var encoding: EncodedFlag

    @Argument(
        help: ArgumentHelp("The locks' names; several are to be free at once.", valueName: "name"),
        completion: LockNames.completion)
    var words: [ByteString]

    func validate() throws { _ = try names() }

    private func names() throws -> [LockName] { try words.map(encoding.name) }

    func run() throws {
        let names = try names()
        try complaining { () throws(Complaint) in
            var search = try FreeLockSearch(
                for: names, mode: forReading ? .read : .write,
                wait: nonblock ? .upTo(.zero) : wait.map { .upTo($0.duration) } ?? .forever, at: daemon.choice
            )
            let isFree = try search.run()
            let elapsed = search.elapsed
            // Without JSON, only a mark is worth a second question.
            if show.json {
                printJSON(isFree, elapsed, try search.findings())
            } else if isFree {
                for finding in (try? search.findings()) ?? [] { reportMark(finding) }
            }
            if !isFree { throw Complaint("", code: Int32(conflictExitCode)) }
        }
    }

    private func reportMark(_ finding: FreeLockSearch.Finding) {
        guard let mark = finding.ownerDied else { return }
        let died = mark == .yes ? "died" : "may have died"
        StandardError.report(
            "\(finding.name.shown): its last writer \(died): what the lock protects may be half written")
    }

    private func printJSON(_ isFree: Bool, _ elapsed: Duration, _ findings: [FreeLockSearch.Finding]) {
        let locks = findings.map { finding in
            JSON.object([
                ("name", .string(finding.name.decoded)), ("encoded", .string(finding.name.text)),
                ("holders", .integer(finding.occupancy.holders.count)),
                ("waiters", .integer(finding.occupancy.waiters)),
                ("owner_died", .bool(finding.ownerDied != nil)),
            ])
        }
        let object = JSON.object([
            ("free", .bool(isFree)), ("waited_ms", .milliseconds(elapsed)), ("locks", .array(locks)),
        ])
        StandardOutput.write("\(object.encoded)\n")
    }
}
