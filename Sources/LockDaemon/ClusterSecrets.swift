import Glibc
import Posix
import Rendezvous

/// Files that only the daemon may read: other users of this host must not be able to speak to the cluster in its name.
extension ClusterSettings {
    /// The password in the file that the settings name; nil if they name none.
    func password() throws(Departure) -> String? {
        guard let path = passwordFile else { return nil }
        let bytes = try Self.secret(in: path, "cluster-password-file")
        let line = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        guard !line.isEmpty else {
            throw Departure(.usage, "\(path) has no password in its first line (cluster-password-file)")
        }
        return line
    }

    /// Checks the file with the key of the certificate, if the settings name one.
    func checkKey() throws(Departure) {
        if let key { _ = try Self.secret(in: key, "cluster-key") }
    }

    private static func secret(in path: String, _ option: String) throws(Departure) -> [UInt8] {
        let bytes: [UInt8]
        let status: FileStatus
        do throws(PathFault) {
            let file = try PathTrust.own().file(path, flags: O_RDONLY | O_NONBLOCK)
            do throws(SystemError) {
                status = try FileStatus(of: file, path)
                bytes = try FileContents.read(file, path, limit: 65_536)
            } catch {
                throw .system(error)
            }
        } catch {
            throw Departure(.usage, "\(option): \(ConfigurationFault(error, at: path))")
        }
        // Root's group counts as root. The service manager gives its credentials to a service by an access list, which shows as
        // rights of that group.
        let others = status.groupID == 0 ? status.permissions & 0o007 : status.permissions & 0o077
        guard others == 0 else {
            throw Departure(.usage, "other users may read \(path): make its mode 0600 (\(option))")
        }
        return bytes
    }
}
