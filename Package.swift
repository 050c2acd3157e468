// swift-tools-version: 6.2

import PackageDescription

/// Held for every target, so that no module is laxer than its neighbours.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// An `async` function runs where its caller runs, and so does the body of a `with…Lock`.
let onCallersActor = SwiftSetting.enableUpcomingFeature("NonisolatedNonsendingByDefault")

/// Loads in less time: with the C++ library in the program. Only lld reads the script.
let loadedQuickly: [String] = [
    "-use-ld=lld", "-L", "\(Context.packageDirectory)/Sources/linking", "-Xclang-linker", "-static-libgcc",
]
/// Without relocations, each of which would make the kernel copy a page. The price is a fixed address of the program.
let atFixedAddress = ["-Xclang-linker", "-no-pie"]

let package = Package(
    name: "prwlock",
    products: [
        .library(name: "PRWLock", targets: ["PRWLock"]),
        .library(name: "CPRWLock", targets: ["CPRWLock"]),
        .executable(name: "prwlockd", targets: ["prwlockd"]),
        .executable(name: "prwlock", targets: ["prwlock-tool"]),
        .executable(name: "prwlock-bench", targets: ["prwlock-bench"]),
    ],
    traits: [
        .trait(
            name: "Systemd",
            description: "Readiness, watchdog, socket activation and the journal, through libsystemd."),
        .trait(
            name: "Etcd",
            description: "Locks of a fleet of hosts, through libnghttp2 and OpenSSL to etcd."),
        .default(enabledTraits: ["Systemd"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    // In the order of dependency: what stands lower may use what stands higher.
    targets: [
        // Words
        .target(name: "LockVocabulary"),

        // The words that cached grants share: a header for both sides
        .target(name: "CSlot", exclude: ["README.md"]),

        // Rules and wire: no sockets, no clock, and they do not know each other
        .target(name: "LockCore", dependencies: ["CSlot", "LockVocabulary"], exclude: ["README.md"]),
        .target(name: "LockWire", dependencies: ["LockVocabulary"]),

        // What a host has of the locks that a fleet shares: no I/O either
        .target(name: "LockClaims", dependencies: ["LockVocabulary"], exclude: ["README.md"]),

        // Composition: the daemon without I/O
        .target(
            name: "LockServer", dependencies: ["LockClaims", "LockCore", "LockWire", "LockVocabulary"],
            exclude: ["README.md"]),

        // Facts that outlive a killed process: only memory, no I/O
        .target(name: "CLedger"),
        .target(name: "Ledger", dependencies: ["CLedger"], exclude: ["README.md"]),

        // The system
        .target(name: "CLinux"),
        .target(name: "Posix", dependencies: ["CLinux"]),
        .target(name: "CKeeper", dependencies: ["CLinux"]),
        .target(name: "CRun", dependencies: ["CLinux"]),
        .target(name: "Keeping", dependencies: ["CKeeper", "CLinux", "Posix"]),
        .target(name: "CSystemd"),
        .target(
            name: "Systemd",
            dependencies: [
                .target(name: "CSystemd", condition: .when(traits: ["Systemd"])), "LockVocabulary",
            ]),
        .systemLibrary(name: "CNghttp2"),
        .systemLibrary(name: "COpenSSL"),
        .target(
            name: "EtcdClient",
            dependencies: [
                .target(name: "CNghttp2", condition: .when(traits: ["Etcd"])),
                .target(name: "COpenSSL", condition: .when(traits: ["Etcd"])),
                "CLinux", "LockClaims", "LockVocabulary", "Posix",
            ],
            exclude: ["README.md"]),
        .target(name: "Rendezvous", dependencies: ["CLinux", "LockVocabulary", "Posix"]),

        // The client for C: it needs nothing of the rest, and has a Makefile of its own
        .target(
            name: "CPRWLock", dependencies: ["CSlot"],
            exclude: ["Makefile", "README.md", "examples", "prwlock.map", "prwlock.pc.in"]),

        // Shells
        .systemLibrary(name: "CMainQueue"),
        .systemLibrary(name: "CTask"),
        .target(
            name: "LockDaemon",
            dependencies: [
                .target(name: "EtcdClient", condition: .when(traits: ["Etcd"])),
                "CLinux", "CMainQueue", "Keeping", "Ledger", "LockClaims", "LockCore", "LockServer",
                "LockVocabulary", "Posix", "Rendezvous", "Systemd",
            ]),
        .target(
            name: "PRWLock",
            dependencies: ["CLinux", "CSlot", "CTask", "LockWire", "LockVocabulary", "Posix", "Rendezvous"],
            swiftSettings: [onCallersActor]),
        .executableTarget(
            name: "prwlockd", dependencies: ["LockDaemon", "Posix", "Rendezvous"],
            linkerSettings: [.unsafeFlags(loadedQuickly, .when(configuration: .release))]),
        .executableTarget(
            name: "prwlock-tool",
            dependencies: [
                "PRWLock", "LockWire", "LockVocabulary", "CLinux", "CRun", "Posix", "Rendezvous", "Systemd",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            linkerSettings: [.unsafeFlags(loadedQuickly + atFixedAddress, .when(configuration: .release))]),

        // The benchmark, with the servers it compares with
        .target(name: "CBench"),
        .target(name: "CPeers", dependencies: ["CPRWLock"]),
        .executableTarget(
            name: "prwlock-bench",
            dependencies: [
                "CBench", "CPeers", "PRWLock",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            resources: [.embedInCode("Peers/peers.py")]),

        // Tests, and what they share: a daemon and its peers as real processes
        .target(name: "CTestSupport", path: "Tests/CTestSupport"),
        .target(
            name: "TestSupport", dependencies: ["CLinux", "CTestSupport", "Posix"], path: "Tests/TestSupport"),
        .testTarget(name: "LockVocabularyTests", dependencies: ["LockVocabulary"]),
        .target(name: "Seeded", path: "Tests/Seeded"),
        .target(name: "SlotSupport", dependencies: ["CSlot", "LockCore"], path: "Tests/SlotSupport"),
        .target(name: "LockModel", dependencies: ["LockVocabulary", "Seeded"], path: "Tests/LockModel"),
        .testTarget(
            name: "LockCoreTests",
            dependencies: ["CSlot", "LockCore", "LockVocabulary", "LockModel", "Seeded", "SlotSupport"]),
        .target(
            name: "WireExamples", dependencies: ["LockWire", "LockVocabulary"], path: "Tests/WireExamples"),
        .testTarget(
            name: "LockWireTests",
            dependencies: ["LockWire", "LockVocabulary", "Seeded", "WireExamples"]),
        .testTarget(
            name: "LockServerTests",
            dependencies: [
                "LockClaims", "LockServer", "LockCore", "LockWire", "LockVocabulary", "Seeded",
                "SimulatedStore",
                "SlotSupport",
            ]),
        .target(name: "LedgerSupport", dependencies: ["Ledger"], path: "Tests/LedgerSupport"),
        .target(
            name: "SimulatedStore", dependencies: ["LockClaims", "LockVocabulary", "Seeded"],
            path: "Tests/SimulatedStore"),
        .testTarget(
            name: "LockClaimsTests",
            dependencies: ["LockClaims", "LockVocabulary", "Seeded", "SimulatedStore"]),
        .testTarget(
            name: "SimulatedStoreTests", dependencies: ["LockClaims", "LockVocabulary", "SimulatedStore"]),
        .target(
            name: "Simulation",
            dependencies: [
                "Ledger", "LedgerSupport", "LockServer", "LockCore", "LockVocabulary", "LockModel", "Seeded",
                "SlotSupport",
            ],
            path: "Tests/Simulation"),
        .target(
            name: "FleetSimulation",
            dependencies: ["LockClaims", "LockServer", "LockVocabulary", "Seeded", "SimulatedStore"],
            path: "Tests/FleetSimulation"),
        .executableTarget(
            name: "prwlock-sim",
            dependencies: [
                "FleetSimulation", "Simulation",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/prwlock-sim"),
        .testTarget(name: "SimulationTests", dependencies: ["FleetSimulation", "Simulation"]),
        .testTarget(name: "LedgerTests", dependencies: ["Ledger", "LedgerSupport", "Seeded"]),
        .testTarget(name: "PosixTests", dependencies: ["CLinux", "Posix"]),
        .executableTarget(
            name: "kept-worker", dependencies: ["CLinux", "Keeping", "Posix"], path: "Tests/KeptWorker"),
        .testTarget(
            name: "KeepingTests",
            dependencies: [
                "CLinux", "CTestSupport", "Keeping", "Posix", "Seeded", "TestSupport", "kept-worker",
            ]),
        .executableTarget(
            name: "test-client", dependencies: ["PRWLock", "Seeded", "Posix"], path: "Tests/TestClient"),
        .executableTarget(
            name: "conformance-client", dependencies: ["PRWLock"], path: "Tests/conformance/adapters/swift"),
        .testTarget(
            name: "RendezvousTests",
            dependencies: ["Rendezvous", "Posix", "TestSupport", "prwlockd", "test-client"]),
        .testTarget(
            name: "LockDaemonTests",
            dependencies: [
                "CLinux", "CSlot", "CTestSupport", "Keeping", "Ledger", "LockDaemon", "LockServer",
                "LockVocabulary", "Posix", "Systemd", "TestSupport", "prwlockd",
            ],
            exclude: ["Ledgers"]),
        .testTarget(
            name: "PRWLockTests",
            dependencies: [
                "PRWLock", "LockWire", "LockVocabulary", "Posix", "Rendezvous", "Seeded", "TestSupport",
                "prwlockd", "test-client",
            ]),
        .testTarget(
            name: "ProtocolDocumentTests",
            dependencies: ["LockWire", "Posix", "Seeded", "TestSupport", "WireExamples", "prwlockd"]),
        .testTarget(
            name: "ToolTests",
            dependencies: [
                "prwlock-tool", "prwlockd", "PRWLock", "LockWire", "LockVocabulary", "CRun", "Posix",
                "Rendezvous", "Systemd",
                "CTestSupport", "Seeded", "TestSupport", "WireExamples",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(
            name: "SystemdTests", dependencies: ["Systemd", "TestSupport", "prwlockd", "prwlock-tool"],
            exclude: ["box.sh", "sessions.pl"]),
        .testTarget(
            name: "EtcdClientTests",
            dependencies: ["EtcdClient", "LockClaims", "LockVocabulary", "Posix", "Seeded", "TestSupport"]),
        .testTarget(name: "CBenchTests", dependencies: ["CBench"]),
        .testTarget(
            name: "PeersTests", dependencies: ["CPeers", "TestSupport", "prwlock-bench", "prwlockd"]),
        .testTarget(name: "TidyTests", dependencies: ["TestSupport", "prwlockd"]),
    ]
)

// What libFuzzer drives has no `main` of its own, and is built only by `Tests/fuzz/fuzz`.
if Context.environment["PRWLOCK_FUZZ"] != nil {
    package.products += [
        .library(name: "FuzzWire", type: .static, targets: ["FuzzWire"]),
        .library(name: "FuzzServer", type: .static, targets: ["FuzzServer"]),
        .library(name: "FuzzFiles", type: .static, targets: ["FuzzFiles"]),
    ]
    package.targets += [
        .target(name: "FuzzWire", dependencies: ["LockWire"], path: "Tests/fuzz/FuzzWire"),
        .target(
            name: "FuzzServer", dependencies: ["LockServer", "LockCore", "LockVocabulary"],
            path: "Tests/fuzz/FuzzServer"),
        .target(
            name: "FuzzFiles", dependencies: ["LockDaemon", "LockServer", "LockVocabulary", "Posix"],
            path: "Tests/fuzz/FuzzFiles"),
    ]
}

for target in package.targets where target.type != .system {
    target.swiftSettings = (target.swiftSettings ?? []) + strict
}
