import CLinux
import Glibc
import LockServer
import Posix

/// Reads the settings anew, away from the serving thread.
///
/// Files may lie on a slow disk, and users and groups may be asked for over the network. The serving thread asks, goes on
/// with the settings that it has, and takes new ones over in one step.
///
///               ask                      read
///   [ IDLE ] ─────────▶ [ READING ] ─────────────▶ [ ANSWERED ] ───▶ [ IDLE ]
///                        │       ▲                       │     take
///                        └─ ask ─┘ ◀─────────────────────┘ ask
///                    (reads once more)
///
/// Interleavings of two requests A and B, as of two `SIGHUP`:
/// 1. B comes while A is read: the files may have changed behind the place where A is. What A finds is dropped, and the
///    thread reads once more. One answer is given for both.
/// 2. B comes after A was answered, and before the answer is taken: the answer is dropped too.
/// So an answer that is taken was read, from the first byte on, after all requests that were made before.
final class SettingsReader: Sendable {
    enum Answer: Sendable {
        /// New settings, and whether their policy differs from the one that held when they were asked for.
        case read(Settings, changesPolicy: Bool)
        case refused(String)
    }

    private struct State {
        var wish: (configuration: Configuration, policy: Policy)?
        var isReading = false
        var answer: Answer?
    }

    private let facts: Policy.Facts
    private let bell: OwnedDescriptor
    private let state = Guarded(State())

    init(_ facts: Policy.Facts) throws(SystemError) {
        self.facts = facts
        let number = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard number >= 0 else { throw .last("eventfd") }
        bell = OwnedDescriptor(owning: number)
    }

    /// The descriptor's number, readable when there is an answer.
    var rawValue: Int32 { bell.rawValue }

    /// Has the settings read; the present ones say from which files, and with what over them.
    func ask(_ configuration: Configuration, _ policy: Policy) {
        let isIdle = state.withLock { state in
            state.wish = (configuration, policy)
            state.answer = nil
            defer { state.isReading = true }
            return !state.isReading
        }
        guard isIdle else { return }
        let code = startThread()
        guard code == 0 else {
            let fault = SystemError(code: code, call: "pthread_create")
            state.withLock { state in
                state = State(answer: .refused("\(fault)"))
            }
            ring()
            return
        }
    }

    /// The answer, if there is one; nil while the settings are being read again.
    func take() -> Answer? {
        var count: UInt64 = 0
        _ = read(bell.rawValue, &count, MemoryLayout<UInt64>.size)
        return state.withLock { state in
            defer { state.answer = nil }
            return state.answer
        }
    }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell.rawValue, &one, MemoryLayout<UInt64>.size)
    }

    // MARK: - The thread

    private func startThread() -> Int32 {
        let argument = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<SettingsReader>.fromOpaque(argument).takeRetainedValue().help()
                return nil
            }, argument.toOpaque())
        if code == 0 { pthread_detach(thread) } else { argument.release() }
        return code
    }

    private func help() {
        while true {
            guard let wish = state.withLock({ $0.wish.take() }) else { return }
            let answer = answer(wish.configuration, wish.policy)
            let isDone = state.withLock { state in
                guard state.wish == nil else { return false }
                state.answer = answer
                state.isReading = false
                return true
            }
            if isDone {
                ring()
                return
            }
        }
    }

    private func answer(_ configuration: Configuration, _ policy: Policy) -> Answer {
        do throws(ConfigurationFault) {
            let settings = try Settings.again(configuration, facts)
            settings.remember()
            return .read(settings, changesPolicy: settings.policy != policy)
        } catch {
            return .refused(error.description)
        }
    }
}
