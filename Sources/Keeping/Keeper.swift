internal import CKeeper
internal import CLinux
internal import Glibc

/// The process that holds descriptors while one worker after another serves.
///
/// A worker that is killed by a signal is followed at once by another one, a copy of the keeper. `CKeeper.h` states which
/// signals the keeper takes, how it becomes another version, and what a worker finds in its environment.
public struct Keeper {
    /// The absolute path of this program, where an upgrade puts another version.
    public var program: String
    /// All arguments of this process, beginning with the program's own name.
    public var arguments: [String]
    /// The arguments with which the program ends at once, with status 0 if it would start with the others.
    public var trial: [String]
    /// The environment's variables, each as `NAME=value`.
    public var environment: [String]
    /// The descriptors that the first worker gets, under their names.
    public var descriptors: [String: [Int32]]
    /// How long workers may be killed before they are ready, in milliseconds, until one of them starts empty.
    public var unreadyMilliseconds: UInt32 = 30_000

    public init(
        program: String, arguments: [String], trial: [String], environment: [String],
        descriptors: [String: [Int32]] = [:]
    ) {
        self.program = program
        self.arguments = arguments
        self.trial = trial
        self.environment = environment
        self.descriptors = descriptors
    }

    /// Whether this process was a keeper, which has executed this program to go on as the keeper of another version.
    ///
    /// Then it has reset already what it inherits, and blocks the signals that the keeper will take.
    public static var goesOn: Bool {
        guard getenv("PRWLOCK_BEFORE") != nil, let process = getenv("LISTEN_PID") else { return false }
        return String(cString: process) == "\(getpid())"
    }

    /// Makes this process the keeper, and returns its exit status; nil in each worker.
    ///
    /// A worker is a copy of this process, and goes on as a program would that has just been executed, with what
    /// `KeptDescriptors` finds. Call this before the process starts a thread, with descriptors 0 to 2 open.
    public consuming func run() -> Int32? {
        let entries = descriptors.sorted { $0.key < $1.key }.map { Self.entry(named: $0.key, $0.value) }
        let (arguments, trial) = (CStrings(arguments), CStrings(trial))
        let environment = CStrings(environment)
        let status = program.withCString { program in
            entries.withUnsafeBufferPointer { entries in
                var configuration = keeper_configuration(
                    program: program, arguments: arguments.array, trial_arguments: trial.array,
                    environment: environment.array, entries: entries.baseAddress,
                    entry_count: Int32(entries.count), unready_milliseconds: unreadyMilliseconds)
                return prwlock_keep(&configuration)
            }
        }
        arguments.free()
        trial.free()
        // A worker has these strings as its environment.
        guard status != KEEPER_IS_WORKER else { return nil }
        environment.free()
        return status
    }

    private static func entry(named name: String, _ descriptors: [Int32]) -> keeper_entry {
        precondition(descriptors.count <= KEEPER_MOST_DESCRIPTORS, "too many descriptors")
        var entry = keeper_entry()
        KeeperName.write(name, to: &entry.name)
        withUnsafeMutableBytes(of: &entry.descriptors) { bytes in
            descriptors.withUnsafeBytes { bytes.copyMemory(from: $0) }
        }
        entry.count = Int32(descriptors.count)
        return entry
    }
}

/// Strings as a C array of pointers that ends with a null pointer, until they are freed.
private struct CStrings {
    private let pointers: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>

    init(_ strings: [String]) {
        pointers = .allocate(capacity: strings.count + 1)
        _ = pointers.initialize(from: strings.map { strdup($0) } + [nil])
    }

    var array: UnsafePointer<UnsafeMutablePointer<CChar>?>? { UnsafePointer(pointers.baseAddress) }

    func free() {
        for string in pointers { Glibc.free(string) }
        pointers.deallocate()
    }
}

/// The name of descriptors in C.
enum KeeperName {
    /// Writes a name into a field of `KEEPER_NAME_ROOM` bytes, which are zero.
    static func write<Field>(_ name: String, to field: inout Field) {
        let isName = name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"=;,:".utf8.contains($0) }
        precondition(
            isName && (1..<KEEPER_NAME_ROOM).contains(name.utf8.count), "no name: \(name)")
        withUnsafeMutableBytes(of: &field) { $0.copyBytes(from: name.utf8) }
    }
}
