import CLinux
import Glibc

/// A program to be started in a session of its own as nobody's child, with nothing inherited but what is named here.
///
/// It outlives whoever starts it, who need not wait for it. It starts in `/`, with umask 077, every signal's default
/// action and none blocked.
public struct DetachedProcess {
    /// The program's file; it is not looked for in `PATH`.
    public var executable: String
    /// All arguments, the program's own name first.
    public var arguments: [String]
    /// `NAME=value` each.
    public var environment: [String]
    /// The program's descriptors 0, 1, 2 … in this order, at most 16; it has no others.
    public var descriptors: [Int32]

    public init(executable: String, arguments: [String], environment: [String], descriptors: [Int32]) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.descriptors = descriptors
    }

    /// Starts it. That its file cannot be executed is said on its descriptor 2: nobody else is left to hear of it.
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
