import Glibc

/// The machine of the measurement; figures have no meaning without it.
struct Machine {
    let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    /// The load at the beginning: runnable threads, averaged over the last minute.
    let load: Double
    let system: String
    /// The kind of processor; empty if the system does not say.
    let model: String

    init() {
        var averages = [0.0]
        load = getloadavg(&averages, 1) == 1 ? averages[0] : .nan
        system =
            contents(of: "/proc/sys/kernel/osrelease").split(separator: "\n").first.map(String.init) ?? "?"
        let line = contents(of: "/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }
        model = line?.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? ""
    }

    var text: String {
        "\(processors) processors\(model.isEmpty ? "" : " (\(model))"), Linux \(system), load \(Unit.ratio.text(load)) at the beginning"
    }

    var json: JSON {
        .object([
            ("processors", .number(Double(processors))), ("model", .string(model)),
            ("linux", .string(system)), ("load", .number(load)),
        ])
    }
}
