import ArgumentParser
import CBench

// The echo server is another process of this program, so the whole benchmark is one binary.
if CommandLine.arguments.count == 3, CommandLine.arguments[1] == EchoServer.argument {
    fatalError("echo server: error \(bench_echo_serve(CommandLine.arguments[2]))")
}
Benchmark.main()
