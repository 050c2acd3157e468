import Dispatch
import LockServer
import Posix

/// Reads the settings again, on a queue of its own.
///
/// A disk may be slow, and the host may look up users and groups over the network. The daemon keeps its settings until then,
/// and replaces them in one step.
///
/// Interleavings of two requests A and B, such as two `SIGHUP`:
/// 1. B comes during the reading for A. The files may have changed behind the reader's position, so the reader drops the
///    result, reads once more, and answers both requests at once.
/// 2. B comes after the reading for A, and the answer is still in the main queue. The reader drops that answer too.
/// So the reading of every answer begins after all requests that come before the answer. A `SIGHUP` that is on its way through
/// libdispatch's thread at that moment (20 to 50 µs) comes after the answer, and has a reading of its own.
@MainActor final class SettingsReader {
    enum Answer: Sendable {
        /// New settings, and whether their policy differs from the policy at the time of the request.
        case read(Settings, changesPolicy: Bool)
        case refused(String)
    }

    private let facts: Policy.Facts
    private let queue = DispatchQueue(label: "prwlockd.settings", qos: .utility)
    private var isReading = false
    /// The last request since the reading began.
    private var wish: (configuration: Configuration, policy: Policy)?

    init(_ facts: Policy.Facts) { self.facts = facts }

    /// Reads the settings. The present configuration has the paths, and the settings that override the files.
    ///
    /// - Parameter take: gets the answer, once for all requests that come before the answer.
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
