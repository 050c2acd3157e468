import Glibc

/// The whole content of small files.
public enum FileContents {
    /// Returns the bytes of a file; `EFBIG` if there are more than `limit`.
    public static func read(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> [UInt8] {
        let file = try OwnedDescriptor(checking: "open", path) { open(path, O_RDONLY | O_CLOEXEC) }
        return try read(file, path, limit: limit)
    }

    /// Returns the bytes from the descriptor's position to the end; `EFBIG` if there are more than `limit`.
    public static func read(
        _ file: borrowing OwnedDescriptor, _ subject: String = "", limit: Int = 1 << 20
    ) throws(SystemError) -> [UInt8] {
        var contents: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        let number = file.rawValue
        while true {
            let count = try checked("read", subject) { Glibc.read(number, &chunk, chunk.count) }
            if count == 0 { return contents }
            guard contents.count + count <= limit else {
                throw SystemError(code: EFBIG, call: "read", subject: subject)
            }
            contents += chunk[..<count]
        }
    }

    /// Writes all bytes at the descriptor's position.
    public static func write(
        _ bytes: [UInt8], to file: borrowing OwnedDescriptor, _ subject: String = ""
    ) throws(SystemError) {
        let number = file.rawValue
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try checked("write", subject) {
                rest.withUnsafeBytes { Glibc.write(number, $0.baseAddress, $0.count) }
            }
            rest = rest.dropFirst(count)
        }
    }
}
