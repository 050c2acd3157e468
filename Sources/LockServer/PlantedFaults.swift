#if DEBUG
    import LockVocabulary

    /// Faults that a test plants in a debug build, to see what becomes of the daemon when a line has one.
    ///
    /// Their text is `line=WORD hang=WORD lease=WORD`, any of them. A line that contains the first word ends the process when it
    /// is carried out, and one with the second never ends. The process also ends when a lease ends on a lock with the third
    /// word in its name.
    public struct PlantedFaults: Sendable {
        private var words: [Substring: String] = [:]

        public init(_ text: String) {
            for part in text.split(separator: " ") {
                let sides = part.split(separator: "=", maxSplits: 1)
                if sides.count == 2 { words[sides[0]] = String(sides[1]) }
            }
        }

        func strike(line: UnsafeRawBufferPointer) {
            let line = String(decoding: line, as: UTF8.self)
            if let word = words["line"], line.contains(word) { fatalError("the line has a planted fault") }
            if let word = words["hang"], line.contains(word) { while true {} }
        }

        func strike(leaseOn name: LockName) {
            if let word = words["lease"], name.text.contains(word) {
                fatalError("the lease has a planted fault")
            }
        }
    }
#endif
