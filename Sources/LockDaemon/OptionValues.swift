import LockVocabulary
import Systemd

/// How the values of options are spelled.
extension Option {
    static func word(_ text: String) throws(ConfigurationFault) -> String {
        guard !text.isEmpty else { throw ConfigurationFault(description: "a value is empty") }
        return text
    }

    static func path(_ text: String) throws(ConfigurationFault) -> String {
        guard text.hasPrefix("/") else {
            throw ConfigurationFault(description: "`\(text)` is not an absolute path")
        }
        return text
    }

    static func number(_ text: String, _ range: ClosedRange<Int>) throws(ConfigurationFault) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw ConfigurationFault(
                description: "`\(text)` is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// The number of a process.
    static func process(_ text: String?) throws(ConfigurationFault) -> Int32 {
        guard let text else {
            throw ConfigurationFault(description: "--reload needs the number of a process")
        }
        return Int32(try number(text, 1...Int(Int32.max)))
    }

    static func flag(_ text: String) throws(ConfigurationFault) -> Bool {
        switch text {
        case "yes": return true
        case "no": return false
        default: throw ConfigurationFault(description: "`\(text)` is neither yes nor no")
        }
    }

    /// Whether something is done once a day.
    static func daily(_ text: String) throws(ConfigurationFault) -> Bool {
        switch text {
        case "daily": return true
        case "off": return false
        default: throw ConfigurationFault(description: "`\(text)` is neither daily nor off")
        }
    }

    static func mode(_ text: String) throws(ConfigurationFault) -> UInt32 {
        guard let mode = UInt32(text, radix: 8), mode <= 0o777 else {
            throw ConfigurationFault(description: "`\(text)` is not an octal mode such as 0660")
        }
        return mode
    }

    static func level(_ text: String) throws(ConfigurationFault) -> LogLevel {
        guard let level = LogLevel(text) else {
            throw ConfigurationFault(
                description: "`\(text)` is not a log level (error, warning, notice, info, debug)")
        }
        return level
    }

    /// Spelled as in the protocol: a whole number and `ms`, `s`, `m` or `h`, or `0`.
    static func duration(_ text: String) throws(ConfigurationFault) -> Duration {
        if text == "0" { return .zero }
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let unit = TimeUnit(rawValue: String(text.dropFirst(digits.count))), let number = Int64(digits),
            number <= TimeUnit.longestMilliseconds / unit.milliseconds
        else {
            throw ConfigurationFault(description: "`\(text)` is not a duration such as 500ms, 5s, 2m or 1h")
        }
        return .milliseconds(number * unit.milliseconds)
    }

    static func spelling(_ duration: Duration) -> String {
        let milliseconds = duration.wholeMilliseconds
        return milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000)s" : "\(milliseconds)ms"
    }
}
