import Glibc
import LockVocabulary
import LockWire
import Posix
import TestSupport
import Testing

@testable import prwlock_tool

/// Metrics as text. `Tests/metrics/check` has them read by the programs that collect metrics.
@Suite struct MetricsTests {
    private static let all =
        [MetricTable.up, MetricTable.build, MetricTable.other] + MetricTable.entries.compactMap(\.family)
        + LockMetrics.allFamilies

    @Test("the manual has every metric with its type and its help text, and no other")
    func manual() throws {
        let file = #filePath.split(separator: "/").dropLast(3)
        let path = "/" + file.joined(separator: "/") + "/Sources/manual/prwlock-metrics.7"
        let manual = String(decoding: try FileContents.read(path), as: UTF8.self)
        let entries = manual.matches(of: /\n\.It Li (prwlock_\w+)\n\.Pq (\w+)\n(.+)/).map {
            "\($0.1) \($0.2) \($0.3)"
        }
        let metrics = Self.all.map { "\($0.name)\($0.kind.suffix) \($0.kind) \($0.help)" }
        #expect(Set(entries) == Set(metrics))
        #expect(entries.count == metrics.count)
    }

    @Test("names keep the rules of OpenMetrics: one family each, the unit last, no suffix of a sample")
    func names() {
        #expect(Set(Self.all.map(\.name)).count == Self.all.count)
        for family in Self.all {
            #expect(family.name.wholeMatch(of: /prwlock(_[a-z]+)+/) != nil, "\(family.name)")
            if let unit = family.unit { #expect(family.name.hasSuffix("_\(unit)"), "\(family.name)") }
            for suffix in ["total", "count", "sum", "bucket", "info", "created"] {
                #expect(!family.name.hasSuffix("_\(suffix)"), "\(family.name)")
            }
            #expect(!family.help.contains { "\\\"\n".contains($0) }, "\(family.help)")
        }
    }

    @Test("both formats state the same values, with escaped labels")
    func formats() {
        let families = [
            MetricFamily(
                name: "a", kind: .counter, help: "Some.",
                samples: [
                    MetricSample(labels: [("x", "q\" b\\ \n\u{1B}"), ("y", "")], value: MetricValue(3))
                ]),
            MetricFamily(
                name: "b_seconds", kind: .gauge, unit: .seconds, help: "Time.",
                samples: [MetricSample(value: MetricValue(.microseconds(-1_500)))]),
            MetricFamily(
                name: "c", kind: .info, help: "Facts.", samples: [MetricSample(value: MetricValue(1))]),
            MetricFamily(
                name: "d", kind: .unknown, help: "Any.", samples: [MetricSample(value: MetricValue(0))]),
            MetricFamily(name: "e", kind: .gauge, help: "Without a sample."),
        ]
        #expect(
            MetricFormat.openMetrics.text(of: families) == #"""
                # TYPE a counter
                # HELP a Some.
                a_total{x="q\" b\\ \\x0A\\x1B",y=""} 3
                # TYPE b_seconds gauge
                # UNIT b_seconds seconds
                # HELP b_seconds Time.
                b_seconds -0.0015
                # TYPE c info
                # HELP c Facts.
                c_info 1
                # TYPE d unknown
                # HELP d Any.
                d 0
                # EOF

                """#)
        #expect(
            MetricFormat.prometheus.text(of: families) == #"""
                # TYPE a_total counter
                # HELP a_total Some.
                a_total{x="q\" b\\ \\x0A\\x1B",y=""} 3
                # TYPE b_seconds gauge
                # HELP b_seconds Time.
                b_seconds -0.0015
                # TYPE c_info gauge
                # HELP c_info Facts.
                c_info 1
                # TYPE d untyped
                # HELP d Any.
                d 0

                """#)
    }

    @Test("rows of a histogram become its samples, and a row that is unknown is not lost")
    func rows() {
        let metrics = StatisticsMetrics(
            [
                ("waits-le-64us", 1), ("waits-le-16us", 0), ("waits-le-1073741824us", 2), ("total-waits", 3),
                ("total-waited-us", 4_500_000), ("cluster-lease-left", 2_500), ("new-row", 7),
                ("ledger-format", 2), ("pid-namespace", 4_026_531_836),
            ], version: "1.2.3")
        let samples = MetricFormat.openMetrics.text(of: metrics.families).split(separator: "\n").filter {
            !$0.hasPrefix("#")
        }
        #expect(
            samples == [
                #"prwlock_wait_duration_seconds_bucket{le="1.6e-05"} 0"#,
                #"prwlock_wait_duration_seconds_bucket{le="6.4e-05"} 1"#,
                #"prwlock_wait_duration_seconds_bucket{le="1073.741824"} 2"#,
                #"prwlock_wait_duration_seconds_bucket{le="+Inf"} 3"#,
                "prwlock_wait_duration_seconds_count 3", "prwlock_wait_duration_seconds_sum 4.5",
                "prwlock_cluster_lease_left_seconds 2.5",
                #"prwlock_build_info{version="1.2.3",ledger_format="2"} 1"#,
                #"prwlock_other{row="new-row"} 7"#,
            ])
    }

    @Test(
        "each row of the daemon has a metric, and each lock that waits or has cost most",
        arguments: [[], ["--keep"]])
    func daemon(options: [String]) throws {
        let daemon = try DaemonProcess(arguments: options)
        let (holder, waiter) = (try daemon.connect(), try daemon.connect())
        for name in ["past", "a%22b"] {
            #expect(try holder.ask("WRITE \(name)")?.hasPrefix("GRANTED") == true)
            try waiter.send("#1 READ \(name)")
            #expect(try waiter.ask("PING") == "PONG")
            if name == "past" {
                #expect(try holder.ask("RELEASE past")?.hasPrefix("RELEASED") == true)
                #expect(try waiter.nextLine()?.hasPrefix("#1 GRANTED") == true)
            }
        }
        let text = try ToolProcess(["stats", "--openmetrics"], at: daemon).rest()
        #expect(!text.contains("prwlock_other"))
        for line in [
            "prwlock_up 1\n", "prwlock_waiters 1\n", "prwlock_open_grants 2\n", "prwlock_grants_total 3\n",
            "prwlock_wait_duration_seconds_count 1\n", "\nprwlock_build_info{version=\"\(Release.version)\"",
            "prwlock_blocking_hold_seconds{lock=\"a%22b\"} ", "prwlock_lock_waiters{lock=\"a%22b\"} 1\n",
            "prwlock_lock_waits_total{lock=\"past\"} 1\n",
        ] { #expect(text.contains(line), "\(line)") }
        #expect(text.contains("prwlock_restarts_total") == options.contains("--keep"))
        let nameless = try ToolProcess(["stats", "--prometheus", "--locks", "0"], at: daemon).rest()
        #expect(!nameless.contains("lock=") && nameless.contains("prwlock_longest_wait_seconds "))
    }

    @Test("without a daemon the metrics say so, the status is 0, no old value stays, and none is started")
    func absence() throws {
        let directory = try TemporaryDirectory()
        func run(_ words: String...) throws -> ToolProcess {
            try ToolProcess(
                ToolProcess.programs + "/prwlock", ["prwlock", "stats"] + words, socket: "",
                environment: ["PRWLOCK_TEST_ROOT=\(directory.path)"])
        }
        let tool = try run("--openmetrics")
        #expect(try tool.rest().hasSuffix("\nprwlock_up 0\n# EOF\n"))
        #expect(try tool.complaints().hasPrefix("prwlock: no lock daemon listens at "))
        #expect(try tool.status() == 0)

        let file = directory("x.prom")
        try WholeFile.replace(file, with: "prwlock_up 1\nprwlock_sessions 7\n")
        #expect(try run("--prometheus", "--output", file).status() == 0)
        let text = String(decoding: try FileContents.read(file), as: UTF8.self)
        #expect(text.hasSuffix("\nprwlock_up 0\n") && !text.contains("prwlock_sessions"))
    }

    @Test("a file is replaced as a whole, readable for all; a device, a link or a folder is not")
    func files() throws {
        let directory = try TemporaryDirectory()
        let path = directory("metrics.prom")
        for text in ["one", "two"] {
            try WholeFile.replace(path, with: text)
            #expect(try FileContents.read(path) == Array(text.utf8))
        }
        #expect(try FileStatus(at: path).permissions == 0o644)
        #expect(symlink(path, directory("link")) == 0)
        for path in [directory("link"), "/dev/null", directory.path, directory("none/metrics.prom")] {
            #expect(throws: SystemError.self) { try WholeFile.replace(path, with: "three") }
        }
        let left = Directory.names(in: directory.path).filter { !$0.hasPrefix(".") }
        #expect(left.sorted() == ["link", "metrics.prom"])
    }

    @Test(
        "options that contradict each other are refused",
        arguments: [
            ["--openmetrics", "--prometheus"], ["--json", "--openmetrics"], ["--http"], ["--output", "x"],
            ["--locks", "3"], ["--openmetrics", "--locks", "1001"],
            ["--openmetrics", "--http", "--output", "x"],
        ])
    func contradictions(words: [String]) throws {
        let daemon = try DaemonProcess()
        #expect(try ToolProcess(["stats"] + words, at: daemon).status() == 64)
    }
}
