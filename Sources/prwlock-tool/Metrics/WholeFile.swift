import Glibc
import Posix

/// Replaces files as a whole, so that a reader sees the former content or the new one, and never a part.
enum WholeFile {
    /// Writes the text to a new file beside `path`, readable for all users, and gives it the name `path`.
    static func replace(_ path: String, with text: String) throws(SystemError) {
        // A device or a link would be replaced by a file.
        if let status = try? FileStatus(at: path), !status.isRegularFile {
            throw SystemError(code: EINVAL, call: "rename", subject: path)
        }
        // The name must not end as the path does: node_exporter reads each file that ends in `.prom`.
        var template = Array((path + ".XXXXXX").utf8CString)
        let number = mkstemp(&template)
        guard number >= 0 else { throw .last("mkstemp", path) }
        let file = OwnedDescriptor(owning: number)
        let draft = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        do throws(SystemError) {
            try FileContents.write(Array(text.utf8), to: file, draft)
            guard fchmod(file.rawValue, 0o644) == 0 else { throw .last("fchmod", draft) }
            guard rename(draft, path) == 0 else { throw .last("rename", path) }
        } catch {
            unlink(draft)
            throw error
        }
    }
}
