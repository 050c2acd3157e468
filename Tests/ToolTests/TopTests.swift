import LockVocabulary
import LockWire
import Testing

@testable import prwlock_tool

/// What `prwlock top` shows and does for a key, without a terminal or a daemon.
@Suite struct TopTests {
    private func name(_ text: String) throws -> LockName {
        try #require(LockName(encoding: Array(text.utf8)))
    }

    private func sample(_ names: [String] = ["shop/orders", "chain/1", "表/報告"]) throws -> TopSample {
        var sample = TopSample()
        sample.daemon = "locks of all users, daemon 812"
        sample.counters = ["locks": 16, "grants": 18, "waiters": 31, "sessions": 201, "total-timeouts": 7]
        sample.rate = 102.4
        sample.locks = try names.enumerated().map { index, text in
            TopLock(
                name: try name(text), mode: .write, holders: 1, waiters: 15 - index,
                waited: .seconds(200 - index), rate: index == 0 ? nil : 9.94)
        }
        let first = try #require(sample.locks.first)
        let holder = Row.Holder(
            processID: 811, mode: .write, owner: .session, token: Token(rawValue: 42), age: .seconds(400),
            leaseLeft: nil, note: try #require(Note(encoding: "nightly report")))
        let waiters = (0..<15).map { index in
            Row.Waiter(
                processID: 900 + Int32(index), mode: .write, owner: .session, waited: .seconds(200 - index),
                timeout: .forever, note: .none)
        }
        sample.report = LockReport(first.name, [holder], waiters) { process in
            ProcessDescription(user: "ann", command: "job-\(process ?? 0)", unit: "jobs.service")
        }
        return sample
    }

    private func screen(
        _ state: TopState, _ sample: TopSample, columns: Int = 80, rows: Int = 24, problem: String? = nil
    ) -> Screen {
        TopLayout(columns: columns, rows: rows, state: state, sample: sample, problem: problem).screen
    }

    @Test("80 columns by 24 lines say which lock blocks most, since when, and which process holds it")
    func answers() throws {
        let lines = screen(TopState(), try sample()).text.split(separator: "\n").map(String.init)
        #expect(lines[1].hasPrefix("16 locks  18 grants  31 waiting  201 sessions  102 grants/s"))
        #expect(lines[5].hasPrefix(">      15     3 minutes  write        1         -  shop/orders"))
        #expect(lines[6].contains("9.9  chain/1"))
        #expect(lines.contains { $0.hasPrefix("── shop/orders: held (write), 1 holder, 15 waiting ─") })
        let holder = try #require(lines.first { $0.contains("   811  write") })
        for word in ["6 minutes", "ann", "jobs.service", "nightly report", "job-811"]
        where !holder.contains(word) {
            // The unit and the note may be dropped in so narrow a line.
            #expect(["jobs.service", "nightly report"].contains(word), "\(holder)")
        }
        #expect(lines.contains { $0.contains("900  write") && $0.contains("811") })
        #expect(lines.last?.hasPrefix("q quit  h help") == true)
    }

    @Test("any size of the terminal has its screen, in every view")
    func sizes() throws {
        let full = try sample()
        var process = full
        process.process = ProcessReport(of: 811, ProcessDescription())
        let report = try #require(full.report)
        let revocation = Revocation(of: try #require(report.holders.first), report, full.locks.first)
        let views: [TopState.View] = [
            .locks, .people, .help, .process(811), .typing("a"), .question(revocation),
        ]
        for view in views {
            for columns in [1, 2, 3, 10, 20, 39, 40, 79, 80, 200] {
                for rows in [1, 2, 3, 5, 6, 8, 15, 16, 17, 24, 60] {
                    var state = TopState()
                    state.view = view
                    for sample in [full, process, TopSample()] {
                        let screen = screen(state, sample, columns: columns, rows: rows, problem: "no daemon")
                        #expect(screen.rows.count == rows)
                        #expect(screen.rows.allSatisfy { $0.count == columns })
                    }
                }
            }
        }
    }

    @Test("the first lock is looked at, whichever that is, until a person chooses one; that one stays chosen")
    func choice() throws {
        var state = TopState()
        #expect(state.press(.down, over: try sample()) == .ask)
        #expect(state.chosenLock == (try name("chain/1")))
        let moved = try sample(["chain/1", "new", "shop/orders"])
        state.follow(moved)
        #expect(state.index(in: moved.locks) == 0)
        // The lock is gone: the one in its place is chosen.
        let gone = try sample(["new", "shop/orders"])
        state.follow(gone)
        #expect(state.chosenLock == (try name("new")))
        #expect(state.press(.home, over: gone) == .ask)
        #expect(state.chosenLock == nil)
        #expect(state.press(.end, over: gone) == .ask)
        #expect(state.index(in: gone.locks) == 1)
        state.follow(TopSample())
        #expect(state.index(in: []) == nil)
    }

    @Test("keys sort, filter, pause and quit")
    func commands() throws {
        let sample = try sample()
        var state = TopState()
        #expect(state.press(.character("g"), over: sample) == .ask)
        #expect(state.order == .grants)
        #expect(state.press(.character("t"), over: sample) == .ask)
        #expect(state.order == .waited)
        for key in [Key.character("/"), .character("q"), .character("x"), .backspace] {
            #expect(state.press(key, over: sample) == .none)
        }
        #expect(state.view == .typing("q"))
        #expect(state.press(.enter, over: sample) == .ask)
        #expect(state.prefix == "q")
        #expect(state.press(.character(" "), over: sample) == .none)
        #expect(state.isPaused)
        #expect(state.press(.character(" "), over: sample) == .ask)
        #expect(state.press(.character("?"), over: sample) == .none)
        #expect(screen(state, sample).text.contains("Ctrl-Z stops this program"))
        #expect(state.press(.character("q"), over: sample) == .ask)
        #expect(state.press(.character("q"), over: sample) == .quit)
    }

    @Test("a holder is revoked only after a question that shows its token, and only by y")
    func revocation() throws {
        let sample = try sample()
        var state = TopState()
        #expect(state.press(.character("r"), over: sample) == .none)
        let text = screen(state, sample).text
        #expect(text.contains("Revoke shop/orders (write, token 42)"))
        #expect(text.contains("from process 811 of ann (job-811)?"))
        #expect(text.contains("15 requests wait; the first one gets the lock at once."))
        #expect(text.contains(" Its token is void."))
        #expect(state.press(.enter, over: sample) == .none)
        #expect(screen(state, sample).text.contains("nothing was revoked"))
        _ = state.press(.character("r"), over: sample)
        guard case .revoke(let revocation) = state.press(.character("y"), over: sample) else {
            Issue.record("nothing is revoked")
            return
        }
        #expect(revocation.token == Token(rawValue: 42))
        // A request that waits has nothing to revoke.
        for key in [Key.tab, .down, .character("r")] { _ = state.press(key, over: sample) }
        #expect(state.message.contains("holds nothing"))
    }

    @Test("the process of a holder or waiter is looked at, with all that was found of it")
    func process() throws {
        var sample = try sample()
        var state = TopState()
        for key in [Key.tab, .down, .down] { _ = state.press(key, over: sample) }
        #expect(state.press(.enter, over: sample) == .ask)
        #expect(state.view == .process(901))
        var process = ProcessReport(
            of: 901, ProcessDescription(user: "bob", command: "./job", unit: "x.scope"))
        (process.grants, process.waiting) = (2, 1)
        process.add(try #require(sample.report))
        #expect(process.unseen == 2)
        sample.process = process
        let text = screen(state, sample).text
        for words in [
            "process 901: ./job", "user: bob   unit: x.scope", "holds 2 and waits for 1", "and 2 of other",
        ] {
            #expect(text.contains(words), "\(words)")
        }
        #expect(text.contains("811, 900"))
        #expect(state.press(.escape, over: sample) == .ask)
        #expect(state.view == .locks)
    }

    @Test("nothing that a name, a note or a command line contains moves the cursor")
    func harmless() throws {
        let sample = try sample(["evil\u{1B}[2J\u{202E}"])
        let bytes = screen(TopState(), sample).changes(from: nil, with: Pen(hasColour: false)).text
        #expect(bytes.contains("evil\\x1B[2J\\u{202E}"))
        #expect(
            bytes.split(separator: "\u{1B}").dropFirst(2).allSatisfy {
                $0.wholeMatch(of: /\[\d+;\d+H[^\u{1B}]*/) != nil
            })
    }

    @Test(
        "the question counts all requests, also those without room, and says whether one of them gets the lock"
    )
    func consequences() throws {
        let report = try #require(try sample().report)
        let holder = try #require(report.holders.first)
        func consequence(_ holders: Int, _ waiters: Int) -> String {
            let row = TopLock(name: report.name, mode: .write, holders: holders, waiters: waiters)
            return Revocation(of: holder, report, row).consequence
        }
        #expect(consequence(1, 400) == "400 requests wait; the first one gets the lock at once.")
        #expect(consequence(2, 400) == "400 requests wait; another grant is still held.")
        #expect(consequence(4, 400) == "400 requests wait; 3 other grants are still held.")
        let alone = LockReport(report.name, [holder.row], []) { _ in ProcessDescription() }
        #expect(Revocation(of: holder, alone, nil).consequence == "No request waits for the lock.")
    }

    @Test("an empty table says why it is empty, and whether that is so for all names")
    func emptiness() throws {
        var sample = try sample()
        sample.locks = []
        #expect(sample.text(.plain, .waiters, isFiltered: false).text.hasSuffix("\nno request waits\n"))
        #expect(
            sample.text(.plain, .waited, isFiltered: true).text.hasSuffix(
                "\nno request waits for a lock with such a name\n"))
        #expect(
            sample.text(.plain, .grants, isFiltered: true).text.hasSuffix(
                "\nno lock with such a name was granted since the last look\n"))
        sample.rate = nil
        #expect(
            sample.text(.plain, .grants, isFiltered: false).text.hasSuffix(
                "\nthe rates are known after the next look\n"))
    }

    @Test("the order has its own line, also beside long counters")
    func order() throws {
        var sample = try sample()
        for name in ["timeouts", "deadlocks", "busy", "denied"] {
            sample.counters["total-\(name)"] = 1_234_567
        }
        var state = TopState()
        for (key, words) in [("g", "sorted by grants a second"), ("t", "sorted by time waited")] {
            #expect(state.press(.character(Character(key)), over: sample) == .ask)
            #expect(screen(state, sample).text.contains("\n\(words)"))
        }
        state.prefix = "shop/"
        #expect(
            screen(state, sample).text.contains("\nsorted by time waited, only names that begin with 'shop/'")
        )
    }

    @Test("grants a second come from two readings; a counter that began anew has no rate")
    func rates() throws {
        let (one, two) = (try name("one"), try name("two"))
        var rates = GrantRates()
        rates.read([one: 10, two: 10], total: 100, at: Instant(nanoseconds: 0))
        #expect(rates.total == nil)
        rates.read([one: 11], total: 101, at: Instant(nanoseconds: 1_000_000))
        #expect(rates.total == nil)
        rates.read([one: 15, two: 3], total: 200, at: Instant(nanoseconds: 500_000_000))
        #expect(rates.total == 200)
        #expect(rates.perSecond == [one: 10])
        #expect(TopSource.busiest([one: 1, two: 3], most: 1) == [two])
        #expect(TopSource.busiest([one: 0], most: 9).isEmpty)
    }
}
