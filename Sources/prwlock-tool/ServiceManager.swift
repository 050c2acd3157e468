import CLinux
import Glibc
import LockVocabulary
import Posix

/// The service manager that waits for the readiness of this process's unit (`sd_notify(3)`).
///
/// It takes messages from the unit's main process, by default from no other: that is the monitor. So a process that
/// waits for a lock says so through the monitor, and what the command says goes through a socket of the monitor's, the
/// relay, of which the command finds the address in the place of the manager's.
struct ServiceManager {
    private let address: String

    /// How long the manager is to wait from each message on.
    private static let extended = Duration.seconds(30)
    private static let variable = "NOTIFY_SOCKET"

    /// Nil where no manager waits.
    init?() {
        guard let value = getenv(Self.variable), value.pointee != 0 else { return nil }
        address = String(cString: value)
    }

    /// Says for what the unit waits, and that this may take longer. That it cannot be said is no reason not to wait.
    func tellWaiting(_ words: String) {
        let microseconds = Self.extended.wholeNanoseconds / 1000
        let line = words.split(separator: "\n").joined(separator: " ")
        _ = linux_notify_manager(address, "STATUS=\(line)\nEXTEND_TIMEOUT_USEC=\(microseconds)\n")
    }

    /// What is relayed to the manager. Its socket stays open until the process ends or executes another program.
    struct Relay {
        let manager: ServiceManager
        /// The descriptor's number, readable when there is something to relay.
        let rawValue: Int32
        private let address: String

        /// Nil if the system has no socket for it.
        init?(to manager: ServiceManager) {
            var name = [CChar](repeating: 0, count: 32)
            let descriptor = linux_notification_socket(&name, name.count)
            guard descriptor >= 0 else { return nil }
            self.manager = manager
            rawValue = descriptor
            address = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }

        /// Hands on all messages that have come, with their descriptors, and drops those of strangers.
        ///
        /// The address is open to every user of the host. A sender that has ended cannot be seen, so its user counts.
        func passOn(from command: Int32) {
            var sender: Int32 = 0
            var user: UInt32 = 0
            while linux_notification_sender(rawValue, &sender, &user) == 0 {
                let isOwn = user == geteuid() || user == 0 || Ancestors.line(from: sender).contains(command)
                _ = linux_relay_notification(rawValue, isOwn ? manager.address : nil)
            }
        }

        /// Gives this process the relay in the place of the manager.
        func enter() { setenv(ServiceManager.variable, address, 1) }
    }
}

/// What a service manager says to a process by its process id.
enum ManagerVariables {
    /// Claims for this process what was said to its parent: it becomes what the parent was started as.
    ///
    /// They say for which process the descriptors of socket activation and the watchdog are.
    static func claim(from parent: Int32) {
        for variable in ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"] {
            if let value = getenv(variable), String(cString: value) == String(parent) {
                setenv(variable, String(getpid()), 1)
            }
        }
        // It names the parent by the inode number of its pidfd, and a wrong one is worse than none.
        unsetenv("LISTEN_PIDFDID")
    }
}
