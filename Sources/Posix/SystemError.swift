import Glibc

/// A system call that failed: the call, its object, and the error number.
public struct SystemError: Error, Sendable {
    /// The error number (`errno`).
    public let code: Int32
    /// The name of the call.
    public let call: StaticString
    /// The object of the call, for messages; empty if it adds nothing.
    public let subject: String

    public init(code: Int32, call: StaticString, subject: String = "") {
        self.code = code
        self.call = call
        self.subject = subject
    }

    /// Whether descriptors or memory are exhausted, so the same call may succeed later.
    public var isShortage: Bool { [EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC].contains(code) }

    /// The error in `errno`. Create it before any other call, which could change `errno`.
    public static func last(_ call: StaticString, _ subject: String = "") -> SystemError {
        SystemError(code: errno, call: call, subject: subject)
    }
}

// By hand, because a `StaticString` has no equality.
extension SystemError: Hashable {
    public static func == (left: SystemError, right: SystemError) -> Bool {
        left.code == right.code && left.subject == right.subject && "\(left.call)" == "\(right.call)"
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(subject)
    }
}

extension SystemError: CustomStringConvertible {
    public var description: String {
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        return subject.isEmpty ? "\(call): \(reason)" : "\(call) \(subject): \(reason)"
    }
}

/// Makes a call that returns -1 for an error, and repeats it while a signal interrupts it. Returns the call's result.
func checked<Result: SignedInteger>(
    _ call: StaticString, _ subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        if errno != EINTR { throw .last(call, subject()) }
    }
}
