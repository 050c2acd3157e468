import Glibc
import Posix

extension Configuration {
    /// What goes over the file, kept so that a reload comes to the same end.
    struct Sources: Sendable {
        var settings: [(Option, String)] = []
        var environment: [String: String] = [:]
    }

    /// The configuration as it is now by its file, with what goes over that.
    func readAgain() throws(ConfigurationFault) -> Configuration {
        var configuration = Configuration()
        try configuration.read(file: file)
        try configuration.read(environment: sources.environment)
        try configuration.set(sources.settings)
        configuration.sources = sources
        return configuration
    }

    /// The options whose values differ and that only a restart changes.
    func needingRestart(comparedTo other: Configuration) -> [String] {
        Option.all.filter { !$0.isReloaded && $0.show(self) != $0.show(other) }.map(\.name)
    }

    mutating func set(_ settings: [(Option, String)]) throws(ConfigurationFault) {
        for (option, value) in settings { try set(option, value, as: "--\(option.name)") }
    }

    mutating func read(environment: [String: String]) throws(ConfigurationFault) {
        for option in Option.all {
            // Empty and unset are the same.
            guard let value = environment[option.variable], !value.isEmpty else { continue }
            try set(option, value, as: option.variable)
        }
    }

    /// Reads lines of `name = value`; `#` begins a comment at a line's start. The default file may be missing.
    mutating func read(file named: String?) throws(ConfigurationFault) {
        let path = named ?? Self.defaultFile
        let contents: [UInt8]
        do throws(SystemError) {
            contents = try FileContents.read(path)
        } catch {
            if named == nil, error.code == ENOENT { return }
            throw ConfigurationFault(description: "\(error)")
        }
        try read(contents, of: path)
    }

    /// Reads the contents of the file that this path names.
    package mutating func read(_ contents: [UInt8], of path: String) throws(ConfigurationFault) {
        let lines = String(decoding: contents, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let line = line.trimmed
            if line.isEmpty || line.hasPrefix("#") { continue }
            let parts = line.split(separator: "=", maxSplits: 1).map(\.trimmed)
            guard parts.count == 2, let name = parts.first, let value = parts.last else {
                throw ConfigurationFault(description: "\(path):\(index + 1): not a line of `name = value`")
            }
            guard let option = Option.named(name), option.name != "config" else {
                throw ConfigurationFault(description: "\(path):\(index + 1): unknown option `\(name)`")
            }
            try set(option, value, as: "\(path):\(index + 1): \(name)")
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

extension StringProtocol {
    /// Without the blanks at both ends.
    fileprivate var trimmed: String {
        let isBlank = { (character: Character) in character == " " || character == "\t" || character == "\r" }
        let start = drop(while: isBlank)
        return String(start.reversed().drop(while: isBlank).reversed())
    }
}
