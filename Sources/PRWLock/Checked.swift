import LockVocabulary

/// The rules for the values that callers pass. The Python client has the same rules, in the same words, except that there
/// a timeout beyond the longest duration, as `inf`, means for ever.
///
/// A value that breaks a rule is an error of the call, never a trap: it may be computed, or come from outside.
enum Checked {
    private static let longest = Duration.milliseconds(TimeUnit.longestMilliseconds)

    /// A timeout: at least zero, at most the longest duration of the protocol.
    static func timeout(_ duration: Duration) throws(LockError) -> Duration {
        try checked(duration, "a timeout")
    }

    /// Whether a timeout obeys the rule.
    static func isTimeout(_ duration: Duration) -> Bool { duration >= .zero && duration <= longest }

    /// A lease: as a timeout, but not zero.
    static func lease(_ duration: Duration) throws(LockError) -> Duration {
        if duration == .zero { throw .invalidArgument("a lease must not be 0") }
        return try checked(duration, "a lease")
    }

    private static func checked(_ duration: Duration, _ what: String) throws(LockError) -> Duration {
        if duration < .zero { throw .invalidArgument("\(what) must not be negative") }
        if duration > longest {
            throw .invalidArgument(
                "\(what) is at most \(TimeUnit.longestMilliseconds / TimeUnit.second.milliseconds) seconds")
        }
        return duration
    }

    /// The beginning of names, encoded as a name is. It may be empty, which a name may not.
    static func prefix(_ text: String) throws(LockError) -> String {
        let encoded = NameAlphabet.encode(text)
        guard encoded.utf8.count <= LockName.maximumLength else {
            throw .invalidArgument(
                "a prefix is \(encoded.utf8.count) bytes long as encoded; at most \(LockName.maximumLength) are allowed"
            )
        }
        return encoded
    }

    /// The length of a list.
    static func limit(_ count: Int?) throws(LockError) -> Int? {
        if let count, count < 1 { throw .invalidArgument("the limit of a list must be at least 1") }
        return count
    }
}

extension TimeLimit {
    /// The limit of a wait; without limit if nil.
    init(timeout: Duration?) throws(LockError) {
        guard let timeout else {
            self = .forever
            return
        }
        self = .upTo(try Checked.timeout(timeout))
    }

    /// The length of a lease; without end if nil.
    init(lease: Duration?) throws(LockError) {
        guard let lease else {
            self = .forever
            return
        }
        self = .upTo(try Checked.lease(lease))
    }
}
