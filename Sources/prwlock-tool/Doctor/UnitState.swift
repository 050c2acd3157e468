import LockVocabulary

/// What `systemctl show` prints of a unit.
struct UnitState: Equatable {
    /// `loaded`, `not-found`, `masked` …
    var load = ""
    /// `active`, `inactive`, `failed`, `activating` …
    var active = ""
    /// Why it ended: `success`, `exit-code`, `watchdog` …
    var result = ""
    /// `enabled`, `disabled`, `static` …
    var file = ""
    var needsReload = false
    /// How long the daemon may be silent before systemd replaces it; nil for no watchdog.
    var watchdog: String?

    static let properties = [
        "Id", "LoadState", "ActiveState", "Result", "UnitFileState", "NeedDaemonReload", "WatchdogUSec",
    ]

    var isInstalled: Bool { load == "loaded" }
    var isActive: Bool { active == "active" }
    /// Whether no process of it runs, or is about to.
    var isInactive: Bool { active == "inactive" || active == "failed" }

    /// The units in the output of `systemctl show`, by their names: lines of `NAME=value`, with an empty line between two units.
    static func read(_ output: [UInt8]) -> [String: UnitState] {
        var units: [String: UnitState] = [:]
        var (name, unit) = ("", UnitState())
        for line in output.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            guard let equals = line.firstIndex(of: UInt8(ascii: "=")) else {
                if !name.isEmpty { units[name] = unit }
                (name, unit) = ("", UnitState())
                continue
            }
            let value = String(decoding: line[(equals + 1)...], as: UTF8.self)
            switch String(decoding: line[..<equals], as: UTF8.self) {
            case "Id": name = value
            case "LoadState": unit.load = value
            case "ActiveState": unit.active = value
            case "Result": unit.result = value
            case "UnitFileState": unit.file = value
            case "NeedDaemonReload": unit.needsReload = value == "yes"
            case "WatchdogUSec": unit.watchdog = ["", "0", "infinity"].contains(value) ? nil : value
            default: break
            }
        }
        if !name.isEmpty { units[name] = unit }
        return units
    }
}
