import CBench
import Glibc

/// The measurement of all peers, side by side.
struct PeerContest {
    /// The inputs that a user may choose.
    struct Settings {
        var daemon: String
        var python: String
        /// The folder of the original prwlock.
        var original: String?
        var runs: Int
        /// How long each peer is measured in each scenario and run.
        var duration: Duration
        var isPinned = true
    }

    /// A peer with its participants, as long as they answer.
    private struct Entrant {
        let peer: Peer
        var state = PeerResult.State.missing("")
        var participants: [Participant] = []
        var counts: [PeerScenario: [[Participant.Count]]] = [:]
    }

    /// A quick peer has so many windows in a run; a slow one has one, which is as long.
    private static let turns = 5

    let settings: Settings
    let progress: Progress
    /// The processors for two participants: their own, if there are two.
    private let processors: [Int32]

    init(_ settings: Settings, progress: Progress) {
        self.settings = settings
        self.progress = progress
        processors = [bench_processor(0), max(bench_processor(0), bench_processor(1))]
    }

    /// The words for where the processes run.
    var placement: String {
        let priority = sched_getscheduler(0) == SCHED_OTHER ? "" : ", with real-time priority"
        if !settings.isPinned { return "unpinned\(priority)" }
        let (first, second) = (processors[0], processors[1])
        if first == second { return "all on processor \(first)\(priority)" }
        return
            "alone: with its server on processor \(first); two: on processors \(first) and \(second), and servers "
            + "where the scheduler puts them\(priority)"
    }

    func measure(_ peers: [Peer]) throws -> [PeerResult] {
        let workplace = try Workplace()
        progress.say("peers: starting servers")
        let servers = try PeerServers(Set(peers.compactMap(\.needs)), daemon: settings.daemon, in: workplace)
        var entrants = try peers.map { peer in
            progress.say("peers: starting \(peer.name)")
            return try enter(peer, servers, workplace)
        }
        for run in 1...settings.runs {
            for scenario in PeerScenario.allCases {
                place(scenario, entrants, servers)
                for turn in 0..<Self.turns {
                    for offset in entrants.indices {
                        let index = (turn + offset) % entrants.count
                        if entrants[index].peer.isSlow, turn > 0 { continue }
                        progress.say(
                            "peers: run \(run) of \(settings.runs), \(scenario.heading): "
                                + entrants[index].peer.name)
                        takeTurn(&entrants[index], scenario, run: run)
                    }
                }
            }
        }
        progress.clear()
        // The clients end before their servers.
        for index in entrants.indices { entrants[index].participants = [] }
        return withExtendedLifetime(servers) {
            entrants.map { PeerResult(peer: $0.peer, state: $0.state, counts: $0.counts) }
        }
    }

    /// Starts the participants of a peer. A peer that lacks something, or fails, is out.
    private func enter(_ peer: Peer, _ servers: PeerServers, _ workplace: Workplace) throws -> Entrant {
        var entrant = Entrant(peer: peer)
        if let needed = peer.needs, let failure = servers.failures[needed] {
            entrant.state = .failed(failure)
            return entrant
        }
        let folder = workplace.file("lock-\(peer.id)")
        guard mkdir(folder, 0o700) == 0 else { throw Failure(folder, errno: errno) }
        do {
            for index in 0..<2 {
                guard let command = try command(peer, index, folder, servers, workplace) else {
                    entrant.state = .missing("\(settings.python): there is no such interpreter")
                    return entrant
                }
                let participant = try Participant(
                    command, environment: environment(servers), log: "\(folder)/log\(index)")
                switch participant.beginning {
                case .missing(let what):
                    entrant.state = .missing(what)
                    return entrant
                case .ready(let version):
                    entrant.state = .measured(version: version)
                    entrant.participants.append(participant)
                }
            }
        } catch {
            entrant.state = .failed("\(error)")
            entrant.participants = []
        }
        return entrant
    }

    /// The program of a participant; nil if there is no interpreter.
    private func command(
        _ peer: Peer, _ index: Int, _ folder: String, _ servers: PeerServers, _ workplace: Workplace
    ) throws -> [String]? {
        if peer.part == .native {
            return ["/proc/self/exe", NativePart.argument, peer.id, "\(index)", folder]
        }
        guard let python = installedProgram(settings.python) else { return nil }
        let script = workplace.file("peers.py")
        if access(script, F_OK) != 0 { try write(PackageResources.peers_py, to: script) }
        let place = peer.id == "original" ? settings.original : peer.needs.flatMap { servers.places[$0] }
        return [python, script, peer.id, "\(index)", folder, place ?? ""]
    }

    /// A participant's environment: what an interpreter needs to find its packages, and the daemon's socket.
    private func environment(_ servers: PeerServers) -> [String] {
        let kept = [
            "PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LC_ALL",
        ]
        let inherited = kept.compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
        let socket = servers.places[.daemon].map { ["PRWLOCK_SOCKET=\($0)"] } ?? []
        return inherited + ["PYTHONDONTWRITEBYTECODE=1"] + socket
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        guard let file = fopen(path, "we") else { throw Failure(path, errno: errno) }
        let count = fwrite(bytes, 1, bytes.count, file)
        if fclose(file) != 0 || count < bytes.count { throw Failure(path, errno: errno) }
    }

    /// Puts all processes on the processors of this scenario.
    private func place(_ scenario: PeerScenario, _ entrants: [Entrant], _ servers: PeerServers) {
        guard settings.isPinned else { return }
        let isAlone = scenario.participants == 1
        for server in servers.processes { bench_place(server, isAlone ? processors[0] : -1) }
        for entrant in entrants {
            for (participant, processor) in zip(entrant.participants, processors) {
                bench_place(participant.process, processor)
            }
        }
    }

    /// Has the participants make pairs for one window, and adds what they counted to the run. If one of them fails or
    /// does not answer, the peer is out: its participants end.
    private func takeTurn(_ entrant: inout Entrant, _ scenario: PeerScenario, run: Int) {
        guard !entrant.participants.isEmpty else { return }
        let length = entrant.peer.isSlow ? settings.duration : settings.duration / Self.turns
        let active = entrant.participants.prefix(scenario.participants)
        let begin = Duration.now() + .milliseconds(1)
        do {
            for participant in active { try participant.begin(scenario, at: begin, for: length) }
            let counts = try active.map { try $0.outcome(by: begin + length + .seconds(20)) }
            var runs = entrant.counts[scenario] ?? []
            if runs.count < run {
                runs.append(counts)
            } else {
                runs[run - 1] = zip(runs[run - 1], counts).map(+)
            }
            entrant.counts[scenario] = runs
        } catch {
            entrant.state = .failed("\(scenario.heading): \(error)")
            entrant.participants = []
        }
    }
}
