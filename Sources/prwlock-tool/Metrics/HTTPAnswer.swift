import Glibc

/// An answer in HTTP/1.1 after which the connection ends.
struct HTTPAnswer {
    let status: HTTPStatus
    let contentType: String
    let body: String
    /// An answer to `HEAD` states the length of the body, and leaves it out.
    var hasBody = true

    /// The answer to a request that gets no metrics.
    init(_ status: HTTPStatus) {
        self.init(status, "text/plain; charset=utf-8", status.rawValue + ": " + status.advice + "\n")
    }

    init(_ status: HTTPStatus, _ contentType: String, _ body: String) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// The answer to the head of a request. `metrics` is called only if the answer has them.
    init(to head: [UInt8], in format: MetricFormat, metrics: () -> String) {
        do throws(HTTPStatus) {
            let request = try HTTPRequest(head: head)
            guard request.path == "/metrics" else { throw .notFound }
            guard ["GET", "HEAD"].contains(request.method) else { throw .methodNotAllowed }
            self.init(.ok, format.contentType, metrics())
            hasBody = request.method == "GET"
        } catch {
            self.init(error)
        }
    }

    /// The bytes of the answer.
    ///
    /// - Parameter time: the present time, in seconds since 1970.
    func text(at time: Int) -> String {
        var lines = [
            "HTTP/1.1 \(status.rawValue)", "Date: \(Self.date(time))", "Content-Type: \(contentType)",
            "Content-Length: \(body.utf8.count)", "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff", "Connection: close",
        ]
        if status == .methodNotAllowed { lines.append("Allow: GET, HEAD") }
        return lines.map { $0 + "\r\n" }.joined() + "\r\n" + (hasBody ? body : "")
    }

    /// The time in the format of RFC 9110, which has English words whatever the locale is.
    private static func date(_ time: Int) -> String {
        var time = time
        var fields = tm()
        gmtime_r(&time, &fields)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func pad(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let clock = "\(pad(fields.tm_hour)):\(pad(fields.tm_min)):\(pad(fields.tm_sec))"
        let date = "\(pad(fields.tm_mday)) \(months[Int(fields.tm_mon) % 12]) \(Int(fields.tm_year) + 1900)"
        return "\(days[Int(fields.tm_wday) % 7]), \(date) \(clock) GMT"
    }
}
