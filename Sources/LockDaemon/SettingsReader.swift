import Dispatch
import LockServer
import Posix

/// Reads the settings anew on a queue of its own.
///
/// Files may lie on a slow disk, and users and groups may be asked for over the network. The daemon goes on with the settings
/// that it has, and takes new ones over in one step.
///
/// Interleavings of two requests A and B, as of two `SIGHUP`:
/// 1. B comes while the files are read for A: they may have changed behind the place where the reading is. Its result is
///    dropped, and the files are read once more. One answer is given for both.
/// 2. B comes when A's reading has ended, and its answer still stands in the main queue: that answer is dropped too.
/// So an answer was read, from the first byte on, after all requests that were made before it is given.
@MainActor final class SettingsReader {
    enum Answer: Sendable {
        /// New settings, and whether their policy differs from the one that held when they were asked for.
        case read(Settings, changesPolicy: Bool)
        case refused(String)
    }

    private let facts: Policy.Facts
    private let queue = DispatchQueue(label: "prwlockd.settings", qos: .utility)
    private var isReading = false
    /// What was asked for since the reading began.
    private var wish: (configuration: Configuration, policy: Policy)?

    init(_ facts: Policy.Facts) { self.facts = facts }

    /// Reads the settings; the present ones say from which files, and with what over them.
    ///
    /// - Parameter take: gets the answer. If another request comes before that, only the last one's `take` is called.
    func read(
        _ configuration: Configuration, _ policy: Policy,
        _ take: @escaping @MainActor @Sendable (Answer) -> Void
    ) {
        guard !isReading else {
            wish = (configuration, policy)
            return
        }
        do throws(SystemError) { try DispatchRoom.checkThread() } catch { return take(.refused("\(error)")) }
        isReading = true
        let facts = facts
        queue.async {
            let answer = Self.answer(configuration, policy, facts)
            DispatchQueue.main.async {
                self.isReading = false
                if let wish = self.wish.take() {
                    self.read(wish.configuration, wish.policy, take)
                } else {
                    take(answer)
                }
            }
        }
    }

    private nonisolated static func answer(
        _ configuration: Configuration, _ policy: Policy, _ facts: Policy.Facts
    ) -> Answer {
        do throws(ConfigurationFault) {
            let settings = try Settings.again(configuration, facts)
            settings.remember()
            return .read(settings, changesPolicy: settings.policy != policy)
        } catch {
            return .refused(error.description)
        }
    }
}
