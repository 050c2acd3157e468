import FleetSimulation
import Glibc

// planted-sim HOSTS FIRST SEEDS STEPS [trace]: lives through histories until one fails, and says which seed has begun.
let words = CommandLine.arguments.dropFirst()
let numbers = words.prefix(4).compactMap { UInt64($0) }
guard numbers.count == 4 else { fatalError("planted-sim HOSTS FIRST SEEDS STEPS [trace]") }
for seed in numbers[1]..<numbers[1] + numbers[2] {
    print("seed \(seed)")
    // A crash must not take the line along.
    fflush(nil)
    let run = FleetRun.live(
        seed: seed, hosts: Int(numbers[0]), steps: Int(numbers[3]), isTold: words.last == "trace")
    for line in run.trace { print(line) }
    if let failure = run.failure {
        print("failed \(failure.what)")
        exit(1)
    }
}
