import Glibc
import Keeping

// A keeper, or a worker of it, for the tests. The first argument selects the part.

let arguments = CommandLine.arguments
switch arguments.dropFirst().first {
case "keep": keep()
case "script": ScriptedWorker.start().run()
case "echo": EchoWorker.start().run()
case "churn": Churn.run()
case "limit": Limit.reach()
case "measure": Measurement.run()
default: exit(64)
}

/// Becomes the keeper of a worker: `keep PROGRAM ARGUMENT…`. Descriptor 3 is the test's.
func keep() -> Never {
    // As root, the tests also need a keeper without rights.
    if let user = getenv("TEST_USER").flatMap({ UInt32(String(cString: $0)) }), setuid(user) != 0 { exit(1) }
    var environment: [String] = []
    for name in [
        "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "TEST_SOCKET",
    ] {
        if let value = getenv(name) {
            let text = String(cString: value)
            // The test does not know this process before it runs.
            environment.append("\(name)=\(text == "self" ? "\(getpid())" : text)")
        }
    }
    let test = Int32(getenv("TEST_CHANNEL").flatMap { Int32(String(cString: $0)) } ?? 3)
    let keeper = Keeper(
        program: arguments[2], arguments: Array(arguments[2...]), environment: environment,
        descriptors: ["test": [test]])
    exit(keeper.run())
}
