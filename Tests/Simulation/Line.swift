import LockVocabulary

/// A line that a simulated client sends, and what it means.
struct Line {
    /// Which of a session's grants is meant.
    struct Choice {
        var token: UInt64?
        var owner: String?
    }

    enum Meaning {
        case acquire(String, LockMode, owner: String, wait: TimeLimit, lease: Duration?)
        case release(String, Choice, atEnd: Bool)
        case releaseAll(owner: String)
        case upgrade(String, Choice, wait: TimeLimit)
        case downgrade(String, Choice, to: LockMode)
        case renew(String, Choice, TimeLimit?)
        case cancel(String, owner: String?)
        case cancelTagged(String)
        case validate(String, UInt64)
        case revoke(String, UInt64)
        /// A reply of many rows.
        case list
        case status(String)
        case watch
        /// What is nil is left out.
        case hello(recall: Bool?)
        case ping, quit
        /// Nothing that the daemon understands: it gets an error with this code, or any.
        case junk(code: String?)
    }

    /// The number of the request, from 1 on.
    let id: Int
    /// Nil where the line is such that its tag is not understood.
    let tag: String?
    let meaning: Meaning
    let bytes: [UInt8]

    init(id: Int, tag: String?, _ meaning: Meaning, _ text: String) {
        self.id = id
        self.tag = tag
        self.meaning = meaning
        bytes = Array(((tag.map { "#\($0) " } ?? "") + text + "\n").utf8)
    }

    /// A line that is not text, or too long; with the tag under which that is said.
    init(id: Int, tag: String? = nil, junk: [UInt8], code: String) {
        self.id = id
        self.tag = tag
        meaning = .junk(code: code)
        bytes = junk + [10]
    }
}
