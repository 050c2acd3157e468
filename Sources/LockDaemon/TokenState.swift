import Glibc
import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// The tokens that the daemon may give out, and the files that keep them for the next daemon.
///
/// A user has one own daemon, whatever its listener. So its state depends only on the user: a folder in the user's home, and a
/// file beside the socket. Its tokens begin above the wall clock in microseconds and above the tokens in both files. So they
/// rise even if one file is lost, or both, unless the clock was set back or the daemon made more than a million grants a
/// second.
///
/// Any other daemon has a folder of its own, and does not start without it. Only a daemon that a client started may do so, and
/// then its tokens begin with the clock.
@MainActor struct TokenState: ~Copyable {
    /// Nil if no file keeps the tokens.
    let reserve: TokenReserve?
    let first: Token
    /// Whether the daemon before this one may have ended while a lock was held (G1).
    let followsUncleanEnd: Bool
    /// The number of files that keep the tokens.
    let fileCount: Int
    /// The file beside the socket; nil for a daemon that has only the state folder.
    private let second: TokenReserve.Place?
    private let directory: StateDirectory?

    /// - Parameter goesOn: whether a worker before this one has left a ledger, which has the next token.
    init(
        _ configuration: Configuration, _ endpoint: Endpoint, _ surroundings: Surroundings,
        _ journal: Journal, goesOn: Bool
    ) throws(Departure) {
        let socketPath = endpoint.path ?? ""
        if endpoint.isUserOwn, configuration.stateDirectory == nil {
            self = try Self.own(socketPath, surroundings, journal, goesOn: goesOn)
            return
        }
        do throws(StateDirectory.Fault) {
            let path = try StateDirectory.path(
                named: configuration.stateDirectory, socketPath: socketPath, in: surroundings)
            let directory = try StateDirectory.open(path, socketPath: socketPath)
            let file = try Self.file(in: directory, isKnown: goesOn)
            guard !file.isDamaged else { throw .damaged(path) }
            let reserve: TokenReserve
            do throws(SystemError) {
                reserve = try TokenReserve(
                    TokenPages(main: file), block: Self.block,
                    floor: endpoint.isUserOwn ? WallClock.now() : 0, goesOn: goesOn)
            } catch { throw .unusable(path, error) }
            self.init(reserve, fileCount: 1, second: nil, directory)
        } catch {
            if case .inUse = error { throw Departure(.alreadyServed, "\(error)") }
            guard configuration.isAutoStarted, !error.isDamage else { throw Departure(.noState, "\(error)") }
            journal.write(.warning, "\(error); they begin with the wall clock instead")
            self.init(forgetfulFrom: WallClock.now())
        }
    }

    /// The state of the user's own daemon.
    private static func own(
        _ socketPath: String, _ surroundings: Surroundings, _ journal: Journal, goesOn: Bool
    ) throws(Departure) -> TokenState {
        let place = TokenReserve.Place(beside: socketPath)
        var main: TokenFile?
        var second: TokenFile?
        var directory: StateDirectory?
        do throws(SystemError) {
            second = try TokenFile(
                in: DirectoryDescriptor(place.folder), named: place.name, isKnown: goesOn)
        } catch {
            journal.write(.warning, "\(error): tokens are not remembered beside the socket")
        }
        do throws(StateDirectory.Fault) {
            let opened = try StateDirectory.open(
                try StateDirectory.ownPath(in: surroundings), socketPath: socketPath)
            let file = try Self.file(in: opened, isKnown: goesOn)
            guard !file.isDamaged else { throw .damaged(opened.path) }
            main = file
            directory = consume opened
        } catch {
            // The guard keeps a second daemon of this user away within a network namespace, and this lock does among all
            // processes
            // that share the home. A daemon of another host or container is no such second daemon.
            if case .inUse(_, let occupant) = error, occupant?.isNear ?? true {
                throw Departure(.alreadyServed, "\(error)")
            }
            journal.write(
                .warning,
                "\(error): tokens are remembered beside the socket alone, and would fall only over a reboot with the clock set back"
            )
        }
        let pages = TokenPages(main: main, second: second)
        let (count, floor) = (pages.count, WallClock.now())
        do throws(SystemError) {
            if count > 0 {
                let reserve = try TokenReserve(pages, block: block, floor: floor, goesOn: goesOn)
                return TokenState(reserve, fileCount: count, second: place, directory.take())
            }
        } catch {
            journal.write(.warning, "\(error): tokens are not remembered, and begin with the wall clock")
        }
        return TokenState(forgetfulFrom: floor)
    }

    private init(
        _ reserve: TokenReserve, fileCount: Int, second: TokenReserve.Place?,
        _ directory: consuming StateDirectory?
    ) {
        self.reserve = reserve
        self.fileCount = fileCount
        self.second = second
        self.directory = directory
        first = reserve.first
        followsUncleanEnd = reserve.followsUncleanEnd
    }

    /// The state of a daemon that keeps no tokens.
    private init(forgetfulFrom time: UInt64) {
        reserve = nil
        fileCount = 0
        second = nil
        directory = nil
        first = Token(rawValue: time)
        // How the daemon before ended is not known.
        followsUncleanEnd = true
    }

    /// The last token that the daemon may give out.
    var last: Token { reserve?.reserved ?? Token(rawValue: .max) }

    /// What the state directory says of the daemon's place in a fleet; nil without the directory.
    func fleetFolder() throws(Departure) -> FleetFolder? {
        let folder = directory.inspect { directory in
            Result { () throws(SystemError) in try FleetFolder(directory.directory) }
        }
        switch folder {
        case nil: return nil
        case .success(let folder): return folder
        case .failure(let fault): throw Departure(.noState, "\(fault)")
        }
    }

    /// Writes that the daemon ends in order with so many tokens left, and then calls `next`.
    func finish(left: UInt64, _ next: @escaping @MainActor () -> Void) {
        guard let reserve else { return next() }
        reserve.finish(last: Token(rawValue: reserve.reserved.rawValue - left), next)
    }

    /// Makes the file beside the new socket again, as it may be gone with the old one.
    func followSocket() {
        if let second { reserve?.moveSecondFile(to: second) }
    }

    private static func file(
        in directory: borrowing StateDirectory, isKnown: Bool
    ) throws(StateDirectory.Fault) -> TokenFile {
        do throws(SystemError) { return try TokenFile(in: directory.directory, isKnown: isKnown) } catch {
            throw .unusable(directory.path, error)
        }
    }

    /// The number of tokens that one write reserves: enough for a second at least. Tests use fewer.
    private nonisolated static var block: UInt64 {
        getenv("PRWLOCK_TEST_TOKEN_BLOCK").flatMap { UInt64(String(cString: $0)) } ?? 1 << 20
    }
}

extension TokenReserve.Place {
    /// The file beside a socket, named as the lock file is.
    init(beside socketPath: String) {
        let slash = socketPath.lastIndex(of: "/") ?? socketPath.startIndex
        self.init(
            folder: slash == socketPath.startIndex ? "/" : String(socketPath[..<slash]),
            name: socketPath[slash...].drop { $0 == "/" } + ".tokens")
    }
}
