import Glibc

/// Passes the strings like C's `argv`: pointers, with a null pointer at the end.
func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers)
}

/// The text in a C buffer up to its first NUL.
func text(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// The first 64 KiB of a file; empty if there is no such file.
func contents(of path: String) -> String {
    guard let file = fopen(path, "re") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}

func writeError(_ text: String) {
    _ = text.utf8.withContiguousStorageIfAvailable { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// The path of a program in one of the folders of `PATH`, or in one of these; nil if there is none. A path is itself.
func installedProgram(_ name: String, orIn folders: [String] = []) -> String? {
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    let places = path.split(separator: ":").map(String.init) + folders
    let candidates = name.contains("/") ? [name] : places.map { "\($0)/\(name)" }
    return candidates.first { access($0, X_OK) == 0 }
}

extension String {
    /// The string with spaces behind it, or before it, up to a width.
    func padded(to width: Int, right: Bool) -> String {
        let padding = String(repeating: " ", count: max(0, width - count))
        return right ? padding + self : self + padding
    }
}
