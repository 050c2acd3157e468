/// One thing that `prwlock doctor` has found out: what is the case, what follows from it, and what to do.
struct Finding {
    enum Severity: String, CaseIterable, Comparable {
        /// As it should be.
        case ok
        /// Good to know, and nothing to do.
        case note
        /// Locks work, and something should be corrected.
        case warning
        /// Locks do not work, or a promise does not hold.
        case fault

        static func < (left: Severity, right: Severity) -> Bool { left.rank < right.rank }

        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    let severity: Severity
    /// One word that programs search for. The same word always means the same subject.
    let topic: String
    /// What is the case, without a full stop. It may contain text of other users.
    let text: String
    /// What follows from it; empty if the text says enough.
    var meaning = ""
    /// What to do: commands, or acts in words. All of them, in this order.
    var remedies: [String] = []
    /// The facts behind it, for programs.
    var members: [(String, JSON)] = []

    static func ok(_ topic: String, _ text: String, _ members: [(String, JSON)] = []) -> Finding {
        Finding(severity: .ok, topic: topic, text: text, members: members)
    }

    static func note(
        _ topic: String, _ text: String, meaning: String = "", _ members: [(String, JSON)] = []
    ) -> Finding {
        Finding(severity: .note, topic: topic, text: text, meaning: meaning, members: members)
    }

    static func warning(
        _ topic: String, _ text: String, meaning: String = "", do remedies: [String],
        _ members: [(String, JSON)] = []
    ) -> Finding {
        Finding(
            severity: .warning, topic: topic, text: text, meaning: meaning, remedies: remedies,
            members: members)
    }

    static func fault(
        _ topic: String, _ text: String, meaning: String = "", do remedies: [String],
        _ members: [(String, JSON)] = []
    ) -> Finding {
        Finding(
            severity: .fault, topic: topic, text: text, meaning: meaning, remedies: remedies, members: members
        )
    }
}
