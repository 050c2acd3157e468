import Glibc
import Posix

extension Configuration {
    /// The settings that override the file. A reload applies them again.
    struct Sources: Sendable {
        var settings: [(Option, String)] = []
        var environment: [String: String] = [:]
        /// The contents of the file; nil if there is none.
        var text: [UInt8]?
        /// The fault of the file, if the last good options replace it.
        var fault: String?
        var last: LastGood?
    }

    /// The same configuration for a worker, though the file has a fault by now.
    public func despite(_ fault: String) -> Configuration {
        var configuration = self
        configuration.sources.fault = fault
        return configuration
    }

    /// The configuration that the file gives now, with the settings that override the file.
    func readAgain() throws(ConfigurationFault) -> Configuration {
        var configuration = Configuration()
        try configuration.read(file: file)
        try configuration.goOver(with: sources)
        return configuration
    }

    /// The configuration that the last good options give, with the present settings that override the file.
    func restored(from last: LastGood) throws(ConfigurationFault) -> Configuration {
        var configuration = Configuration()
        try configuration.read(last.options ?? [], of: "the last good options")
        try configuration.goOver(with: sources)
        return configuration
    }

    /// Applies the settings that override the file.
    mutating func goOver(with sources: Sources) throws(ConfigurationFault) {
        try read(environment: sources.environment)
        try set(sources.settings)
        self.sources.settings = sources.settings
        self.sources.environment = sources.environment
    }

    /// The options that have another value here and that only a restart changes.
    func needingRestart(comparedTo other: Configuration) -> [String] {
        Option.all.filter { !$0.isReloaded && $0.show(self) != $0.show(other) }.map(\.name)
    }

    mutating func set(_ settings: [(Option, String)]) throws(ConfigurationFault) {
        for (option, value) in settings { try set(option, value, as: "--\(option.name)") }
    }

    mutating func read(environment: [String: String]) throws(ConfigurationFault) {
        for option in Option.all {
            // An empty variable counts as unset.
            guard let value = environment[option.variable], !value.isEmpty else { continue }
            try set(option, value, as: option.variable)
        }
    }

    /// Reads lines of `name = value` and comments, which begin with `#`. The default file may be missing.
    mutating func read(file named: String?) throws(ConfigurationFault) {
        let path = named ?? Self.defaultFile
        let contents: [UInt8]
        do throws(PathFault) {
            contents = try Self.contents(of: path)
        } catch {
            if named == nil, case .system(let fault) = error, fault.code == ENOENT { return }
            throw ConfigurationFault(error, at: path)
        }
        sources.text = contents
        try read(contents, of: path)
    }

    /// Reads a file of options or rules, which no other user may write or replace.
    ///
    /// - Parameter mustBeFile: whether to refuse a pipe or a device, without a wait.
    static func contents(of path: String, mustBeFile: Bool = false) throws(PathFault) -> [UInt8] {
        let file = try PathTrust.own().file(path, flags: O_RDONLY | (mustBeFile ? O_NONBLOCK : 0))
        do throws(SystemError) {
            if mustBeFile, try !FileStatus(of: file, path).isRegularFile {
                throw SystemError(code: EINVAL, call: "read", subject: path)
            }
            return try FileContents.read(file, path)
        } catch {
            throw .system(error)
        }
    }

    /// Reads the contents of a file; faults name this path.
    package mutating func read(_ contents: [UInt8], of path: String) throws(ConfigurationFault) {
        let lines = String(decoding: contents, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let text = line.trimmed
            if text.isEmpty || text.hasPrefix("#") { continue }
            // Columns count bytes, from 1.
            let start = "\(path):\(index + 1):\(line.blanksBefore + 1)"
            let parts = text.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let name = parts.first?.trimmed, let rest = parts.last else {
                throw ConfigurationFault(description: "\(start): not a line of `name = value`")
            }
            guard let option = Option.named(name), option.name != "config" else {
                throw ConfigurationFault(description: "\(start): unknown option `\(name)`")
            }
            let before = line.utf8.count - line.trimmedEnd.utf8.count
            let column = line.utf8.count - before - rest.utf8.count + rest.blanksBefore + 1
            try set(option, rest.trimmed, as: "\(path):\(index + 1):\(column): \(name)")
        }
    }

    private mutating func set(_ option: Option, _ value: String, as place: String) throws(ConfigurationFault)
    {
        do {
            try option.set(&self, value)
        } catch {
            throw ConfigurationFault(description: "\(place): \(error)")
        }
    }
}

extension ConfigurationFault {
    /// The fault of a file that cannot be read, or that another user could write or replace.
    init(_ fault: PathFault, at path: String) {
        switch fault {
        case .system(let error): self.init(description: "\(error)")
        case .replaceable:
            self.init(
                description: "\(path) is not read, because another user could write or replace it: \(fault)")
        }
    }
}

extension StringProtocol {
    private static func isBlank(_ character: Character) -> Bool {
        character == " " || character == "\t" || character == "\r"
    }

    /// The text without the blanks at both ends.
    fileprivate var trimmed: String {
        String(trimmedEnd.drop(while: Self.isBlank))
    }

    /// The text without the blanks at its end.
    fileprivate var trimmedEnd: String {
        String(String(reversed().drop(while: Self.isBlank)).reversed())
    }

    /// The number of blanks at the beginning.
    fileprivate var blanksBefore: Int { prefix(while: Self.isBlank).utf8.count }
}
