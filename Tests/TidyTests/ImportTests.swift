import Testing

/// Compares imports with the arrows of `Sources/ARCHITECTURE.md`.
@Suite("Imports follow the architecture")
struct ImportTests {
    /// The modules that each module may import. The rules and the wire import no socket, clock or system.
    static let arrows: [String: Set<String>] = [
        "LockVocabulary": ["Synchronization"],
        "LockCore": ["CSlot", "LockVocabulary"],
        "LockWire": ["LockVocabulary"],
        "LockClaims": ["LockVocabulary"],
        "LockServer": ["LockClaims", "LockCore", "LockWire", "LockVocabulary"],
        "Ledger": ["CLedger"],
        "Posix": ["CLinux", "Glibc"],
        "Keeping": ["CKeeper", "CLinux", "Posix", "Glibc"],
        "Systemd": ["CSystemd", "Glibc", "LockVocabulary"],
        "EtcdClient": [
            "CLinux", "CNghttp2", "COpenSSL", "LockClaims", "LockVocabulary", "Posix", "Dispatch", "Glibc",
        ],
        "Rendezvous": ["LockVocabulary", "Posix", "CLinux", "Glibc"],
        "LockDaemon": [
            "LockServer", "LockCore", "LockVocabulary", "Posix", "Rendezvous", "Systemd", "CLinux",
            "CMainQueue", "Dispatch", "Glibc", "Keeping", "Ledger", "LockClaims", "EtcdClient",
        ],
        "prwlockd": ["LockDaemon", "Posix", "Rendezvous"],
        "PRWLock": [
            "LockWire", "LockVocabulary", "Posix", "Rendezvous", "CLinux", "CSlot", "CTask",
            "Glibc", "Synchronization",
        ],
        "prwlock-tool": [
            "PRWLock", "LockWire", "LockVocabulary", "Posix", "Rendezvous", "CLinux", "CRun", "Glibc",
            "Synchronization", "Systemd", "ArgumentParser",
        ],
        "prwlock-bench": ["CBench", "CPeers", "PRWLock", "Glibc", "ArgumentParser"],
    ]

    @Test("a module imports only what the arrows allow", arguments: arrows.keys.sorted())
    func imports(module: String) throws {
        let allowed = Self.arrows[module] ?? []
        for file in try SourceTree.files(below: "Sources/\(module)", endings: [".swift"]) {
            for line in file.lines {
                guard let imported = importedModule(line) else { continue }
                #expect(allowed.contains(imported), "\(file.path): import \(imported)")
            }
        }
    }

    @Test("every module with Swift in it has its arrows here")
    func completeness() throws {
        let modules = try SourceTree.entries("Sources").filter { folder in
            guard !folder.contains(".") else { return false }
            return try !SourceTree.files(below: "Sources/\(folder)", endings: [".swift"]).isEmpty
        }
        #expect(Set(modules) == Set(Self.arrows.keys))
    }

    @Test("the architecture speaks of every module")
    func architecture() throws {
        let text = try SourceTree.text("Sources/ARCHITECTURE.md")
        for module in Self.arrows.keys { #expect(text.contains("`\(module)`"), "\(module)") }
    }

    /// The module that a line imports, with any modifiers; nil for any other line.
    private func importedModule(_ line: Substring) -> String? {
        let words = line.split(separator: " ")
        guard let place = words.firstIndex(of: "import"), place + 1 < words.count else { return nil }
        let modifiers: Set<Substring> = ["public", "package", "internal", "private", "fileprivate"]
        guard words[..<place].allSatisfy({ modifiers.contains($0) || $0.hasPrefix("@") }) else { return nil }
        let kinds: Set<Substring> = [
            "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
        ]
        let name = words[(place + 1)...].first { !kinds.contains($0) }
        return name?.split(separator: ".").first.map(String.init)
    }
}
