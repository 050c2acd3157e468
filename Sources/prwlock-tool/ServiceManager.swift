import CLinux
import Glibc
import LockVocabulary

/// The service manager that started this process as a unit of `Type=notify` and waits for its readiness (`sd_notify(3)`).
struct ServiceManager {
    private let address: String

    /// How long the manager is to wait from each message on.
    private static let step = Duration.seconds(30)

    /// Nil where the variable names none.
    init?(environment variable: String) {
        guard let value = getenv(variable), value.pointee != 0 else { return nil }
        address = String(cString: value)
    }

    /// Says for what the unit waits, and that this may take longer. That it cannot be said is no reason not to wait.
    func tellWaiting(_ words: String) {
        let microseconds = Self.step.wholeNanoseconds / 1000
        let line = words.split(separator: "\n").joined(separator: " ")
        _ = linux_notify_manager(address, "STATUS=\(line)\nEXTEND_TIMEOUT_USEC=\(microseconds)\n")
    }
}
