import FleetSimulation
import Glibc

// planted-sim HOSTS FIRST SEEDS STEPS: lives through histories until one fails, and says which seed has begun.
let numbers = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
guard numbers.count == 4 else { fatalError("planted-sim HOSTS FIRST SEEDS STEPS") }
for seed in numbers[1]..<numbers[1] + numbers[2] {
    print("seed \(seed)")
    // A crash must not take the line along.
    fflush(nil)
    let run = FleetRun.live(seed: seed, hosts: Int(numbers[0]), steps: Int(numbers[3]))
    if let failure = run.failure {
        print("failed \(failure.what)")
        exit(1)
    }
}
