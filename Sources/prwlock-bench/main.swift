import ArgumentParser
import CBench

// The echo server is this program once more, so that one binary is the whole benchmark.
if CommandLine.arguments.count == 3, CommandLine.arguments[1] == EchoServer.argument {
    fatalError("echo server: error \(bench_echo_serve(CommandLine.arguments[2]))")
}
Benchmark.main()
