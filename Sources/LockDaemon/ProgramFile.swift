import Glibc

/// The file of this program.
enum ProgramFile {
    /// Its path, where an upgrade puts the next version; nil if `/proc` does not show it.
    static var own: String? {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = bytes.withUnsafeMutableBytes { room in
            room.baseAddress.map { readlink("/proc/self/exe", $0, room.count) } ?? -1
        }
        guard count > 0, count < bytes.count else { return nil }
        let path = String(decoding: bytes[..<count], as: UTF8.self)
        // The file was replaced since this process started.
        let mark = " (deleted)"
        return path.hasSuffix(mark) ? String(path.dropLast(mark.count)) : path
    }
}
