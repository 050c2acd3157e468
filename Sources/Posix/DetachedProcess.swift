import CLinux
import Glibc

/// A program to start in a session of its own, without a parent that must reap it.
///
/// The program inherits only what this value names, and outlives the process that starts it. It starts in `/`, with
/// umask 077, the default action for every signal, and no signal blocked.
public struct DetachedProcess {
    /// The program's file; `PATH` is not searched.
    public var executable: String
    /// All arguments, beginning with the program's own name.
    public var arguments: [String]
    /// The environment's variables, each as `NAME=value`.
    public var environment: [String]
    /// The program's descriptors 0, 1, 2 … in this order, at most 16; it has no others.
    public var descriptors: [Int32]

    public init(executable: String, arguments: [String], environment: [String], descriptors: [Int32]) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.descriptors = descriptors
    }

    /// Starts the program. If its file cannot be executed, its descriptor 2 gets a message, because no process reads
    /// its status.
    public func spawn() throws(SystemError) {
        let code = ChildProcess.withCStrings(arguments) { arguments in
            ChildProcess.withCStrings(environment) { environment in
                linux_spawn_detached(
                    executable, arguments, environment, descriptors, Int32(descriptors.count))
            }
        }
        guard code == 0 else { throw SystemError(code: code, call: "fork", subject: executable) }
    }
}
