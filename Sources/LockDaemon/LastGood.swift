import Glibc
import Posix

/// The last options and rules without a fault, which a service keeps in its state directory.
///
/// A restart ends one daemon before the next one reads its files. If they have a fault, the next one would not start, and
/// no client of the host could lock. So it starts with the last good ones, and reports the fault. A fault of the command line
/// or the environment is final: they belong to the unit.
///
/// The numbers of users and groups are part of this, because a directory service may not be reachable yet when the daemon
/// starts.
package struct LastGood: Sendable, Equatable {
    /// The contents of the options' file; nil if there was none.
    package var options: [UInt8]?
    /// The contents of the rule file; nil if there was none.
    package var rules: [UInt8]?
    /// The numbers of the names in the rules.
    var names = RuleFile.Names()

    private static let file = "configuration"

    /// The directory for this; nil if the daemon is no service and no option names a directory.
    static func directory(_ configuration: Configuration, _ environment: [String: String]) -> String? {
        if let named = configuration.stateDirectory { return named }
        return environment["STATE_DIRECTORY"]?.split(separator: ":").first.map(String.init)
    }

    /// The last good options and rules in this directory; nil if there are none, the file is damaged, or another user could
    /// replace it.
    static func read(in directory: String) -> LastGood? {
        guard let directory = try? PathTrust.own().folder(directory) else { return nil }
        return read(in: directory)
    }

    private static func read(in directory: borrowing DirectoryDescriptor) -> LastGood? {
        guard let file = try? directory.open(file, flags: O_RDONLY),
            let contents = try? FileContents.read(file, limit: 4 << 20)
        else { return nil }
        return LastGood(contents)
    }

    /// Replaces the file of the directory with this. If that fails, the old file stays.
    func write(in directory: String) {
        guard let directory = try? PathTrust.own().folder(directory), Self.read(in: directory) != self else {
            return
        }
        do throws(SystemError) {
            let new = try directory.open(Self.file + ".new", flags: O_WRONLY | O_CREAT | O_TRUNC)
            try FileContents.write(contents, to: new, Self.file)
            try directory.rename(Self.file + ".new", to: Self.file)
        } catch {}
    }

    // MARK: - The file

    private static let firstLine = "prwlockd configuration 1"
    private static let lastLine = "end"

    package init() {}

    /// Reads the contents of the file; nil if they are not complete.
    package init?(_ contents: [UInt8]) {
        var rest = contents[...]
        guard Self.line(&rest) == Self.firstLine else { return nil }
        while let line = Self.line(&rest) {
            if line == Self.lastLine {
                guard rest.isEmpty else { return nil }
                return
            }
            let words = line.split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("options", 2), ("rules", 2):
                guard let count = Int(words[1]), count >= 0, count <= rest.count else { return nil }
                let bytes = Array(rest.prefix(count))
                rest = rest.dropFirst(count)
                if words[0] == "rules" { rules = bytes } else { options = bytes }
            case ("user", 3), ("group", 3):
                guard let number = UInt32(words[2]) else { return nil }
                if words[0] == "user" {
                    names.users[words[1]] = number
                } else {
                    names.groups[words[1]] = number
                }
            default: return nil
            }
        }
        return nil
    }

    /// The contents of the file.
    package var contents: [UInt8] {
        var bytes = Array("\(Self.firstLine)\n".utf8)
        if let options { bytes += "options \(options.count)\n".utf8 + options }
        if let rules { bytes += "rules \(rules.count)\n".utf8 + rules }
        for (name, number) in names.users.sorted(by: { $0.key < $1.key }) {
            bytes += "user \(name) \(number)\n".utf8
        }
        for (name, number) in names.groups.sorted(by: { $0.key < $1.key }) {
            bytes += "group \(name) \(number)\n".utf8
        }
        return bytes + "\(Self.lastLine)\n".utf8
    }

    private static func line(_ rest: inout ArraySlice<UInt8>) -> String? {
        guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        defer { rest = rest[(end + 1)...] }
        return String(decoding: rest[..<end], as: UTF8.self)
    }
}
