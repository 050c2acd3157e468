/// The head of a request in HTTP/1.0 or HTTP/1.1 (RFC 9112), as far as an endpoint with one page needs it.
struct HTTPRequest: Equatable {
    let method: String
    /// The path, without a query.
    let path: String

    /// The longest head, in bytes.
    static let longestHead = 8192

    /// Whether the bytes contain the end of a head: an empty line.
    static func isWhole(_ bytes: [UInt8]) -> Bool {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // The last part is not ended by a line feed. A client may send an empty line before its request.
        return lines.drop(while: Self.isEmpty).dropLast().contains(where: Self.isEmpty)
    }

    /// Reads a head, or throws the status to answer with.
    init(head bytes: [UInt8]) throws(HTTPStatus) {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        lines = lines.drop(while: Self.isEmpty)
        guard let first = lines.popFirst().flatMap(Self.text) else { throw .badRequest }
        let words = first.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 3, !words[0].isEmpty, words[0].allSatisfy(Self.isTokenCharacter) else {
            throw .badRequest
        }
        guard words[2].hasPrefix("HTTP/") else { throw .badRequest }
        guard ["HTTP/1.0", "HTTP/1.1"].contains(words[2]) else { throw .versionNotSupported }
        let hosts = try Self.hosts(in: lines.prefix { !Self.isEmpty($0) })
        let (authority, path) = try Self.parts(ofTarget: words[1])
        // HTTP/1.1 demands one, and two would leave open which one counts.
        guard hosts.count == 1 || (hosts.isEmpty && words[2] == "HTTP/1.0") else { throw .badRequest }
        if let host = authority ?? hosts.first, !Self.isOfThisHost(host) { throw .misdirected }
        method = words[0]
        self.path = path
    }

    /// The values of the fields `Host`; throws if a line is not a field.
    private static func hosts(in lines: ArraySlice<ArraySlice<UInt8>>) throws(HTTPStatus) -> [String] {
        var hosts: [String] = []
        for line in lines {
            guard let field = text(line), let colon = field.firstIndex(of: ":") else { throw .badRequest }
            let name = field[..<colon]
            guard !name.isEmpty, name.allSatisfy(isTokenCharacter) else { throw .badRequest }
            guard name.lowercased() == "host" else { continue }
            hosts.append(String(field[field.index(after: colon)...].filter { $0 != " " && $0 != "\t" }))
        }
        return hosts
    }

    /// The authority, if the target is a whole URL, and the path.
    private static func parts(ofTarget target: String) throws(HTTPStatus) -> (String?, String) {
        var rest = target[...]
        var authority: String?
        if let scheme = ["http://", "https://"].first(where: { target.lowercased().hasPrefix($0) }) {
            rest = rest.dropFirst(scheme.count)
            let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            authority = String(rest[..<end])
            rest = rest[end...]
        }
        guard authority != nil || rest.hasPrefix("/") else { throw .badRequest }
        return (authority, String(rest.prefix { $0 != "?" }))
    }

    /// Whether the name means this host, or is an address: a page in a browser, which may have any name of its own lead to
    /// this host (DNS rebinding), must not read the answer.
    private static func isOfThisHost(_ host: String) -> Bool {
        if host.hasPrefix("[") { return true }
        let name = host.prefix { $0 != ":" }.lowercased()
        return name == "localhost" || name.allSatisfy { $0.isASCII && ($0.isWholeNumber || $0 == ".") }
    }

    private static func isEmpty(_ line: ArraySlice<UInt8>) -> Bool { line.isEmpty || Array(line) == [13] }

    /// The line without its carriage return; nil if it contains control characters or bytes outside ASCII.
    private static func text(_ line: ArraySlice<UInt8>) -> String? {
        let bytes = line.last == 13 ? line.dropLast() : line
        guard bytes.allSatisfy({ (0x20...0x7E).contains($0) || $0 == 9 }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isTokenCharacter(_ character: Character) -> Bool {
        character.isASCII
            && (character.isLetter || character.isNumber || "!#$%&'*+-.^_`|~".contains(character))
    }
}

/// The statuses that the endpoint answers with.
enum HTTPStatus: String, Error {
    case ok = "200 OK"
    case badRequest = "400 Bad Request"
    case notFound = "404 Not Found"
    case methodNotAllowed = "405 Method Not Allowed"
    case timeout = "408 Request Timeout"
    case misdirected = "421 Misdirected Request"
    case headTooLarge = "431 Request Header Fields Too Large"
    case versionNotSupported = "505 HTTP Version Not Supported"

    /// What to do about it, in one line.
    var advice: String {
        switch self {
        case .ok: ""
        case .badRequest: "this is not a request of HTTP/1.1"
        case .notFound: "the metrics are at /metrics"
        case .methodNotAllowed: "use GET or HEAD"
        case .timeout: "the request did not arrive in time"
        case .misdirected: "use an address or localhost as the host, not a name"
        case .headTooLarge: "the head of a request may have \(HTTPRequest.longestHead) bytes"
        case .versionNotSupported: "use HTTP/1.1"
        }
    }
}
