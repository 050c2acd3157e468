internal import CKeeper
internal import CLinux
internal import Glibc

/// The process that holds descriptors while one worker after another serves.
///
/// A worker that is killed by a signal is followed at once by another one, from the program that is then on disk.
/// `CKeeper.h` states which signals the keeper takes, and what a worker finds in its environment.
public struct Keeper {
    /// The program of the workers, as an absolute path.
    public var program: String
    /// All arguments, beginning with the program's own name.
    public var arguments: [String]
    /// The environment's variables, each as `NAME=value`.
    public var environment: [String]
    /// The descriptors that the first worker gets, under their names.
    public var descriptors: [String: [Int32]]

    public init(
        program: String, arguments: [String], environment: [String], descriptors: [String: [Int32]] = [:]
    ) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.descriptors = descriptors
    }

    /// Makes this process the keeper, and returns its exit status.
    ///
    /// Call this before the process starts a thread, with descriptors 0 to 2 open.
    public consuming func run() -> Int32 {
        let entries = descriptors.sorted { $0.key < $1.key }.map { Self.entry(named: $0.key, $0.value) }
        return Self.withCStrings(arguments) { arguments in
            Self.withCStrings(environment) { environment in
                program.withCString { program in
                    entries.withUnsafeBufferPointer { entries in
                        var configuration = keeper_configuration(
                            program: program, arguments: arguments, environment: environment,
                            entries: entries.baseAddress, entry_count: Int32(entries.count))
                        return prwlock_keep(&configuration)
                    }
                }
            }
        }
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

    /// Passes the strings as a C array of pointers that ends with a null pointer. It lasts as long as the process.
    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>?) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return copies.withUnsafeBufferPointer { body($0.baseAddress) }
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
