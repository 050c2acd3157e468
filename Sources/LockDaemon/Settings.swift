import LockServer

/// Options and rules that belong together: the daemon uses both, or neither.
struct Settings: Sendable {
    var configuration: Configuration
    var policy: Policy
    /// The fault of the files, if these are the last good settings; nil if these come from the files.
    var fault: String?
    private var good = LastGood()

    /// The settings of a daemon that starts: those of the files or, if they have a fault, the last good ones.
    static func atStart(_ configuration: Configuration, _ facts: Policy.Facts) throws(ConfigurationFault)
        -> Settings
    {
        if let fault = configuration.sources.fault, let last = configuration.sources.last {
            return try restored(configuration, last, facts, because: fault)
        }
        do throws(ConfigurationFault) {
            var settings = try Settings(configuration, facts)
            settings.fault = configuration.sources.fault
            return settings
        } catch {
            let sources = configuration.sources
            guard let directory = LastGood.directory(configuration, sources.environment),
                let last = LastGood.read(in: directory)
            else { throw error }
            return try restored(configuration, last, facts, because: error.description)
        }
    }

    /// The settings of the files as they are now.
    static func again(_ configuration: Configuration, _ facts: Policy.Facts) throws(ConfigurationFault)
        -> Settings
    {
        try Settings(configuration.readAgain(), facts)
    }

    /// Reads the rules that the options name.
    private init(_ configuration: Configuration, _ facts: Policy.Facts) throws(ConfigurationFault) {
        let rules = try RuleFile.read(configuration.rules, facts)
        self.configuration = configuration
        policy = rules.policy
        good.options = configuration.sources.text
        good.rules = rules.text
        good.names = rules.names
    }

    private init(_ configuration: Configuration, _ policy: Policy, fault: String) {
        self.configuration = configuration
        self.policy = policy
        self.fault = fault
    }

    private static func restored(
        _ configuration: Configuration, _ last: LastGood, _ facts: Policy.Facts, because fault: String
    ) throws(ConfigurationFault) -> Settings {
        let restored = try configuration.restored(from: last)
        guard let text = last.rules else { return Settings(restored, Policy(), fault: fault) }
        do throws(PolicyFault) {
            let policy = try RuleFile.read(text, last.names, facts)
            return Settings(restored, policy, fault: fault)
        } catch {
            // For example, these rules need a fact about peers that the present kernel does not have.
            throw ConfigurationFault(description: fault)
        }
    }

    /// Keeps these for a start with files that have a fault.
    func remember() {
        guard fault == nil,
            let directory = LastGood.directory(configuration, configuration.sources.environment)
        else { return }
        good.write(in: directory)
    }
}
