import LockWire

extension Examples {
    /// The words of the fuzzers: a line of each kind, and each option of a request by itself.
    ///
    /// It has the first error only, and no row of `HELP`: the others differ from these in what people read.
    public static var dictionary: [String] {
        let lines = requests.map(\.line)
        let options = lines.flatMap { $0.split(separator: " ").filter { $0.contains("=") }.map { " \($0)" } }
        let errors = replies.map(\.line).filter { $0.hasPrefix("ERROR") }
        let others = replies.map(\.line).filter { !errors.dropFirst().contains($0) } + notices.map(\.line)
        let help = Request.forms.map { "* \($0)" }
        let listed = rows.map(\.line).filter { !help.contains($0) }
        return Set(lines + options + others + listed + ["#t "]).sorted()
    }
}
