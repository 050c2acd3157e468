import Glibc

/// A call to the system that failed: which, on what, and with which error number.
public struct SystemError: Error, Sendable {
    /// The error number (`errno`).
    public let code: Int32
    /// What was called.
    public let call: StaticString
    /// What it was called on, for people; empty if that says nothing.
    public let subject: String

    public init(code: Int32, call: StaticString, subject: String = "") {
        self.code = code
        self.call = call
        self.subject = subject
    }

    /// Whether descriptors or memory are missing, so that the same call may succeed later.
    public var isShortage: Bool { [EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC].contains(code) }

    /// What `errno` says now, so before anything else is called.
    public static func last(_ call: StaticString, _ subject: String = "") -> SystemError {
        SystemError(code: errno, call: call, subject: subject)
    }
}

extension SystemError: CustomStringConvertible {
    public var description: String {
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        return subject.isEmpty ? "\(call): \(reason)" : "\(call) \(subject): \(reason)"
    }
}

/// The result of a call that says -1 for an error, made again for as long as a signal interrupts it.
func checked<Result: SignedInteger>(
    _ call: StaticString, _ subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        if errno != EINTR { throw .last(call, subject()) }
    }
}
