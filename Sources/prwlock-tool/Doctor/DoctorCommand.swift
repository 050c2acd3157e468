import ArgumentParser
import Posix
import Rendezvous

/// `prwlock doctor`: what is the case, which promises hold, and what to do.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Examine the daemon, this process and the host, and say what to do about each finding.",
        discussion: """
            It says which daemon answers and which lock space that is, who may connect, which promises the kernel and the options \
            let it keep, which limits are near, and which programs are of another release. It starts no daemon and changes nothing. \
            Add its output to a report of a fault.

            Exit status:
              0   nothing to do
              1   a warning or a fault: the output says what to do
            """)

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        let report = DoctorReport(findings: DoctorFacts(examining: daemon.choice, in: .current()).findings)
        StandardOutput.write(show.json ? "\(report.json.encoded)\n" : report.text(show.style))
        if report.asksForAction { throw ExitCode(Complaint.no) }
    }
}

extension DoctorFacts {
    /// Looks at everything. It starts no daemon, so it connects to none that systemd would start.
    init(examining choice: DaemonChoice, in surroundings: Surroundings) {
        let place = PlaceFacts(choice.path, in: surroundings)
        let units = place.units(in: surroundings)
        daemon = place.isAsleep(units) ? .asleep : DaemonOutcome(choice, in: surroundings)
        client = ClientFacts(in: surroundings)
        kernel = .ofThisProcess()
        var process: Int32?
        if case .answers(let facts) = daemon { process = facts.unit?.process }
        program = ProgramFacts(of: process, checking: place.rule == .service, in: surroundings)
        neighbours = ListeningSockets.now.usersWithDaemons
        self.place = place
        self.units = units
    }

    /// All findings, in the order in which a person would ask.
    var findings: [Finding] {
        reachFindings + placeFindings + promiseFindings + counterFindings + versionFindings
    }
}
