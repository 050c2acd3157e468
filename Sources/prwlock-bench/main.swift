import ArgumentParser
import CBench

// The echo server is another process of this program, so the whole benchmark is one binary.
if CommandLine.arguments.count == 4, CommandLine.arguments[1] == EchoServer.argument,
    let backlog = Int32(CommandLine.arguments[3])
{
    fatalError("echo server: error \(bench_echo_serve(CommandLine.arguments[2], backlog))")
}
Benchmark.main()
