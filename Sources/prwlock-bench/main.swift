import ArgumentParser
import CBench
import Glibc

// The echo server is another process of this program, so the whole benchmark is one binary.
if CommandLine.arguments.count == 4, CommandLine.arguments[1] == EchoServer.argument,
    let backlog = Int32(CommandLine.arguments[3])
{
    fatalError("echo server: error \(bench_echo_serve(CommandLine.arguments[2], backlog))")
}
// So are the participants of `peers` that need no interpreter.
if CommandLine.arguments.count == 5, CommandLine.arguments[1] == NativePart.argument,
    let index = Int32(CommandLine.arguments[3])
{
    exit(NativePart.serve(CommandLine.arguments[2], index: index, folder: CommandLine.arguments[4]))
}
switch CommandLine.arguments.dropFirst().first {
case PeersCommand.name: PeersCommand.main(Array(CommandLine.arguments.dropFirst(2)))
case FleetCommand.name: FleetCommand.main(Array(CommandLine.arguments.dropFirst(2)))
default: Benchmark.main()
}
