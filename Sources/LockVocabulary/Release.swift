/// The release of this source tree: of the daemon, the command, the libraries and the Python package alike.
public enum Release {
    /// By the rules of semantic versioning (semver.org, version 2.0.0). The Python package's build reads it here.
    public static let version = "1.0.0"
}
