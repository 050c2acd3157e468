import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix
import Rendezvous

/// The reason why a command fails: a message that says what to do, and an exit code.
///
/// The message is empty where the code says everything, as for a lock that others hold. The codes are those of
/// `sysexits.h`, as in `flock(1)`.
struct Complaint: Error {
    var line: String
    var code: Int32

    /// The answer is no, or the lock is not available now.
    static let no: Int32 = 1
    /// The command line is wrong.
    static let usage: Int32 = 64
    /// The process does not exist.
    static let noInput: Int32 = 66
    /// No daemon is available, or it ended.
    static let unavailable: Int32 = 69
    /// A system call failed.
    static let system: Int32 = 71
    /// The lock was lost while the command ran.
    static let lost: Int32 = 79
    /// The output cannot be written.
    static let output: Int32 = 74
    /// A limit is reached, or the daemon is draining: a later attempt may succeed.
    static let temporary: Int32 = 75
    /// The daemon sent an unexpected reply.
    static let protocolFault: Int32 = 76
    /// This user lacks the permission.
    static let notPermitted: Int32 = 77

    init(_ line: String, code: Int32) {
        self.line = line
        self.code = code
    }

    init(_ error: RendezvousError) {
        if case .system(let cause) = error, cause.code == EAFNOSUPPORT {
            self.init(
                "this process may not open Unix sockets, and the lock daemon is reached by one: allow AF_UNIX in "
                    + "RestrictAddressFamilies= of its unit, or in its sandbox", code: Self.system)
            return
        }
        let code =
            switch error {
            case .notPermitted, .unsafeDirectory, .untrustedServer, .untrustedPath, .untrustedProgram:
                Self.notPermitted
            case .noAnswer, .slowStart, .turnedAway, .startLockHeld: Self.temporary
            case .stranger: Self.protocolFault
            case .system: Self.system
            case .notRunning, .startForbidden, .notASocket, .alreadyServed, .noProgram, .endedAtStart,
                .limitTooLow, .servedElsewhere:
                Self.unavailable
            }
        self.init(error.description, code: code)
    }

    init(_ error: ConnectionEnded) {
        self.init("\(error); look at its journal, and try again", code: Self.unavailable)
    }

    init(_ error: SystemError) {
        self.init(error.description, code: Self.system)
    }

    /// Adds advice to the daemon's error where there is some. The switch has no `default`, because each new code needs
    /// an exit status.
    init(_ error: WireError) {
        switch error.code {
        case .limitSessions, .limitGrants, .limitWaiters, .limitLocks, .limitWaits, .limitBuffers,
            .limitWatchers:
            self.init(
                "the lock daemon is full: \(error.text); try again later, or raise its limits",
                code: Self.temporary)
        case .draining:
            self.init("\(error.text); try again when another runs", code: Self.temporary)
        case .notHeld: self.init(error.text, code: Self.no)
        case .noToken, .noMemory, .clusterUnavailable: self.init(error.text, code: Self.unavailable)
        case .badName, .badNote, .badOwner, .badDuration, .badToken, .badNumber:
            self.init(error.text, code: Self.usage)
        case .unknownVerb, .badByte, .badTag, .tagInUse, .lineTooLong, .missingArgument, .unknownArgument,
            .repeatedArgument, .badMode, .badValue, .notWaiting, .ambiguous, .wrongMode, .unlisted:
            self.init(error.text, code: Self.protocolFault)
        }
    }

    /// The rules deny this user what it asked for: a mode, or one of the words of the rules.
    static func denied(_ name: LockName, _ what: String, _ reason: String) -> Complaint {
        let verb = what == "look" ? "look at" : what
        return Complaint("you may not \(verb) \(name.shown): \(reason)", code: notPermitted)
    }

    static let unexpected = Complaint(
        "the lock daemon answered what this version does not expect; are they of one release?",
        code: protocolFault)

    /// Prints the message; throwing the result ends the command with the code.
    func exit() -> any Error {
        if !line.isEmpty { StandardError.report(line) }
        return ExitCode(code)
    }
}

/// Runs a part of a command, prints its complaint if there is one, and ends the command with the complaint's code.
func complaining<Result>(_ body: () throws(Complaint) -> Result) throws -> Result {
    do throws(Complaint) {
        return try body()
    } catch {
        throw error.exit()
    }
}
