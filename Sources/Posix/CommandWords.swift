/// The words of the command line that started this process.
public enum CommandWords {
    /// Why this process cannot know them; nil if it does.
    ///
    /// The Swift runtime reads them from `/proc`. Without it there seem to be none, and a program that goes on would do
    /// something else than it was told.
    public static var fault: String? {
        guard CommandLine.argc == 0 else { return nil }
        return "the command line cannot be read: mount /proc here"
    }
}
