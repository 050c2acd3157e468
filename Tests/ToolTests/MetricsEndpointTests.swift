import TestSupport
import Testing

@testable import prwlock_tool

/// The endpoint that answers one request of HTTP.
@Suite struct MetricsEndpointTests {
    @Test(
        "a request gets the status that it deserves",
        arguments: [
            ("GET /metrics HTTP/1.1\r\nHost: localhost:10777\r\nAccept: */*\r\n\r\n", HTTPStatus.ok),
            ("\r\nGET /metrics?a=/b HTTP/1.0\n\n", .ok),
            ("HEAD /metrics HTTP/1.1\r\nhOST:\t[::1] \r\n\r\n", .ok),
            ("GET http://127.0.0.1/metrics HTTP/1.1\r\nHost: web.example\r\n\r\n", .ok),
            ("GET / HTTP/1.0\r\n\r\n", .notFound),
            ("GET /metrics/ HTTP/1.0\r\n\r\n", .notFound),
            ("GET http://localhost HTTP/1.0\r\n\r\n", .notFound),
            ("POST /metrics HTTP/1.0\r\n\r\n", .methodNotAllowed),
            ("get /metrics HTTP/1.0\r\n\r\n", .methodNotAllowed),
            // A page in a browser, with a name that leads to this host (DNS rebinding).
            ("GET /metrics HTTP/1.1\r\nHost: web.example\r\n\r\n", .misdirected),
            ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1.web.example\r\n\r\n", .misdirected),
            ("GET http://web.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", .misdirected),
            ("GET /metrics HTTP/1.1\r\n\r\n", .badRequest),
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", .badRequest),
            ("GET /metrics HTTP/1.1\r\nHost : localhost\r\n\r\n", .badRequest),
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", .badRequest),
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: \u{0}\r\n\r\n", .badRequest),
            ("GET /metrics\r\n\r\n", .badRequest),
            ("GET metrics HTTP/1.0\r\n\r\n", .badRequest),
            ("GET  /metrics HTTP/1.0\r\n\r\n", .badRequest),
            ("GET /metrics HTTP/1.0 \r\n\r\n", .badRequest),
            ("G@T /metrics HTTP/1.0\r\n\r\n", .badRequest),
            ("\r\n\r\n", .badRequest),
            ("GET /metrics HTTP/2.0\r\n\r\n", .versionNotSupported),
        ])
    func statuses(head: String, status: HTTPStatus) {
        #expect(HTTPAnswer(to: Array(head.utf8), in: .openMetrics) { "text" }.status == status)
    }

    @Test("a head is whole with its empty line, wherever it was cut before")
    func wholeness() {
        let head = Array("\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
        for length in head.indices { #expect(!HTTPRequest.isWhole(Array(head[..<length]))) }
        #expect(HTTPRequest.isWhole(head))
        #expect(HTTPRequest.isWhole(Array("GET / HTTP/1.0\n\n".utf8)))
        #expect(HTTPRequest.isWhole(head + [0xFF]))
    }

    @Test("an answer has a date, a length and no way to go on; only GET has a body")
    func text() {
        func answer(_ method: String) -> String {
            HTTPAnswer(to: Array("\(method) /metrics HTTP/1.0\r\n\r\n".utf8), in: .openMetrics) { "grün\n" }
                .text(at: 784_111_777)
        }
        let head = """
            HTTP/1.1 200 OK\r
            Date: Sun, 06 Nov 1994 08:49:37 GMT\r
            Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r
            Content-Length: 6\r
            Cache-Control: no-store\r
            X-Content-Type-Options: nosniff\r
            Connection: close\r
            \r

            """
        #expect(answer("GET") == head + "grün\n")
        #expect(answer("HEAD") == head)
        #expect(answer("PUT").contains("\r\nAllow: GET, HEAD\r\n"))
        #expect(answer("PUT").hasSuffix("\r\n\r\n405 Method Not Allowed: use GET or HEAD\n"))
    }

    @Test("one request is answered on standard input and output, and a client that goes away is no fault")
    func exchange() throws {
        let daemon = try DaemonProcess()
        let line = "printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' | prwlock stats --openmetrics --http"
        let text = try ToolProcess(shell: line, at: daemon).rest()
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n") && text.hasSuffix("\n# EOF\n"))
        let silent = try ToolProcess(shell: "prwlock stats --openmetrics --http </dev/null", at: daemon)
        #expect(try silent.rest().isEmpty)
        #expect(try silent.status() == 0)
        let cut = "printf 'GET /metrics' | prwlock stats --prometheus --http"
        #expect(try ToolProcess(shell: cut, at: daemon).rest().hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
    }
}
