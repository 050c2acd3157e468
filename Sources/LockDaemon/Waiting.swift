import Glibc
import LockVocabulary
import Posix

/// The wait for the next batch: it sleeps or polls, as `Polling` has measured to be better.
struct Waiting: ~Copyable {
    private(set) var events: EventSet
    private var polling: Polling
    /// What was chosen after work, and when; nil if the end of the wait says nothing about the choice.
    private var choice: (way: Polling.Way, start: Instant)?

    init(_ events: consuming EventSet, _ polling: Polling) {
        self.events = events
        self.polling = polling
    }

    /// What is ready now. This and the following return how many events `events` has.
    mutating func poll() -> Int { events.wait(0) }

    mutating func sleep() -> Int { events.wait(-1) }

    /// Polls for a moment before it sleeps, if that has been worth it.
    mutating func waitAfterWork() -> Int {
        guard polling.isPossible else { return sleep() }
        let start = Self.now
        let way = polling.choose(at: start)
        choice = (way, start)
        guard way == .poll else { return sleep() }
        let end = start.advanced(by: Polling.span)
        var now = start
        repeat {
            // A client that a reply woke, and that has only this processor, runs first: its next line then needs no
            // wake-up of this thread.
            sched_yield()
            let count = poll()
            if count > 0 { return count }
            now = Self.now
        } while now < end
        polling.wasInVain(start.duration(to: now))
        choice = nil
        return sleep()
    }

    /// The wait has ended; measures what was chosen.
    mutating func ended(at now: Instant) {
        guard let choice else { return }
        polling.answered(choice.way, after: now.nanoseconds - choice.start.nanoseconds)
        self.choice = nil
    }

    private static var now: Instant { Instant(nanoseconds: BootClock.now()) }
}
