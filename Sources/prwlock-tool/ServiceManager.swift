import CLinux
import Glibc
import LockVocabulary
import Posix

/// The service manager that waits until this process's unit is ready (`sd_notify(3)`).
///
/// By default, the manager accepts messages only from the unit's main process, which is the monitor. A process that
/// waits for a lock therefore reports that through the monitor. The monitor also forwards the command's messages: it
/// opens a socket, the relay, and the command finds the relay's address in the environment instead of the manager's.
struct ServiceManager {
    private let address: String

    /// By how much each message extends the manager's time limit.
    private static let extended = Duration.seconds(30)
    private static let variable = "NOTIFY_SOCKET"

    /// Nil if no manager waits.
    init?() {
        guard let value = getenv(Self.variable), value.pointee != 0 else { return nil }
        address = String(cString: value)
    }

    /// Reports what the unit waits for, and extends the time limit. Ignores errors: the process can wait without the
    /// report.
    func reportWaiting(_ words: String) {
        let microseconds = Self.extended.wholeNanoseconds / 1000
        // A line feed would begin another variable.
        let line = Shown(words).text
        _ = linux_notify_manager(address, "STATUS=\(line)\nEXTEND_TIMEOUT_USEC=\(microseconds)\n")
    }

    /// The socket that receives the command's messages to the manager. It stays open until the process ends or executes
    /// another program.
    struct Relay {
        let manager: ServiceManager
        /// The descriptor. It is readable when a message is pending.
        let rawValue: Int32
        private let address: String

        /// Nil if the system cannot create the socket.
        init?(to manager: ServiceManager) {
            var name = [CChar](repeating: 0, count: 32)
            let descriptor = linux_notification_socket(&name, name.count)
            guard descriptor >= 0 else { return nil }
            self.manager = manager
            rawValue = descriptor
            address = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }

        /// Forwards all pending messages with their descriptors, and drops those of other users.
        ///
        /// Every user of the host can send to the relay. A message is accepted if its sender's user is this process's
        /// user or root, or if the sender descends from the command. The ancestors of a sender that has ended are
        /// unknown, so only its user counts.
        func passOn(from command: Int32) {
            var sender: Int32 = 0
            var user: UInt32 = 0
            while linux_notification_sender(rawValue, &sender, &user) == 0 {
                let isOwn = user == geteuid() || user == 0 || Ancestors.line(from: sender).contains(command)
                _ = linux_relay_notification(rawValue, isOwn ? manager.address : nil)
            }
        }

        /// Replaces the manager's address with the relay's in this process's environment.
        func enter() { setenv(ServiceManager.variable, address, 1) }
    }
}

/// The environment variables that a service manager addresses to a process by its process id.
enum ManagerVariables {
    /// Makes the parent's variables valid for this process, which becomes the program that the unit was to start.
    ///
    /// They name the process that may use the descriptors of socket activation and the watchdog.
    static func claim(from parent: Int32) {
        for variable in ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"] {
            if let value = getenv(variable), String(cString: value) == String(parent) {
                setenv(variable, String(getpid()), 1)
            }
        }
        // This variable holds the inode number of the parent's pidfd. A wrong number is worse than none.
        unsetenv("LISTEN_PIDFDID")
    }
}
