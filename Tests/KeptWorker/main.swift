import Glibc
import Keeping

// A keeper and its workers, for the tests. The first argument selects what a worker does.

// As root, the tests also need a keeper without rights. A program that it executes may be traced by its user again.
if let user = getenv("TEST_USER").flatMap({ UInt32(String(cString: $0)) }) {
    guard setuid(user) == 0 else { exit(1) }
    unsetenv("TEST_USER")
    execv("/proc/self/exe", CommandLine.unsafeArgv)
    exit(1)
}

let arguments = CommandLine.arguments
// The trial of an upgrade.
if arguments.last == "--check-config" { exit(0) }
switch arguments.dropFirst().first {
case "script":
    keep()
    ScriptedWorker.start().run()
case "echo":
    keep()
    EchoWorker.start().run()
case "churn": Churn.run()
case "limit": Limit.reach()
case "measure": Measurement.run()
default: exit(64)
}

/// Becomes the keeper, and returns in each worker.
func keep() {
    var environment: [String] = []
    for name in [
        "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "PRWLOCK_BEFORE",
        "TEST_SOCKET", "TEST_PROGRAM", "TEST_CHANNEL",
    ] {
        if let value = getenv(name) {
            let text = String(cString: value)
            // The test does not know this process before it runs.
            environment.append("\(name)=\(text == "self" ? "\(getpid())" : text)")
        }
    }
    let test = Int32(getenv("TEST_CHANNEL").flatMap { Int32(String(cString: $0)) } ?? 3)
    let program = getenv("TEST_PROGRAM").map { String(cString: $0) } ?? arguments[0]
    var keeper = Keeper(
        program: program, arguments: arguments, trial: arguments + ["--check-config"],
        environment: environment, descriptors: ["test": [test]])
    if let patience = getenv("TEST_PATIENCE").flatMap({ UInt32(String(cString: $0)) }) {
        keeper.unreadyMilliseconds = patience
    }
    if let status = keeper.run() { exit(status) }
}
