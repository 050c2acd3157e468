import Glibc
import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// Which tokens the daemon may give out, and what remembers them for the next one.
///
/// An auto-started daemon that can write nowhere has nothing to remember with. Its tokens begin with the wall clock in
/// microseconds: they rise for as long as the clock is not set back, and fewer than a million grants are made in a second.
struct TokenState: ~Copyable {
    /// Nil if nothing is remembered.
    let reserve: TokenReserve?
    let first: Token
    /// Whether the daemon before this one may have ended while a lock was held (G1).
    let followsUncleanEnd: Bool
    private let directory: StateDirectory?

    init(
        _ configuration: Configuration, _ endpoint: Endpoint, _ surroundings: Surroundings, _ journal: Journal
    ) throws(Departure) {
        do throws(StateDirectory.Fault) {
            let path = try StateDirectory.path(
                named: configuration.stateDirectory, socketPath: endpoint.path ?? "", in: surroundings)
            let directory = try StateDirectory.open(path)
            let reserve = try Self.open(directory)
            first = reserve.first
            followsUncleanEnd = reserve.followsUncleanEnd
            self.reserve = reserve
            self.directory = consume directory
        } catch {
            if case .inUse = error { throw Departure(.alreadyServed, "\(error)") }
            guard configuration.isAutoStarted, !error.isDamage else { throw Departure(.noState, "\(error)") }
            journal.write(.warning, "\(error); they begin with the wall clock instead")
            first = Token(rawValue: WallClock.now())
            // Nobody remembers how the one before ended.
            followsUncleanEnd = true
            reserve = nil
            directory = nil
        }
    }

    /// The last token that may be given out.
    var last: Token { reserve?.reserved ?? Token(rawValue: .max) }

    /// The daemon ends in order, with so many tokens left.
    func finish(left: UInt64) {
        guard let reserve else { return }
        reserve.finish(last: Token(rawValue: reserve.reserved.rawValue - left))
    }

    private static func open(_ directory: borrowing StateDirectory) throws(StateDirectory.Fault)
        -> TokenReserve
    {
        do throws(SystemError) {
            let file = try TokenFile(in: directory.directory)
            if !file.isDamaged { return try TokenReserve(file, block: block) }
        } catch {
            throw .unusable(directory.path, error)
        }
        throw .damaged(directory.path)
    }

    /// How many tokens are reserved at a time: a second's worth at the least. Tests make do with fewer.
    private static var block: UInt64 {
        getenv("PRWLOCK_TEST_TOKEN_BLOCK").flatMap { UInt64(String(cString: $0)) } ?? 1 << 20
    }
}
