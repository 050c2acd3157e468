import CBench
import Glibc

/// The reason why a measurement was impossible. A bad figure is not a failure.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    init(_ what: String, errno code: Int32) {
        self.init("\(what): \(String(cString: strerror(code)))")
    }
}

/// Throws if a function of CBench did not return 0.
func check(_ code: Int32, _ what: @autoclosure () -> String) throws {
    if code != 0 { throw Failure(what(), errno: code) }
}
