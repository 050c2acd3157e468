import LockWire

/// Fuzzes the wire with arbitrary bytes in pieces; the first byte is their size. The lines must be the same as without
/// cuts. A parsed request or reply must be the same after it is encoded and parsed again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWire(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: start, count: count)
    guard let first = input.first else { return 0 }
    let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
    let step = Int(first) % 17 + 1
    let whole = lines(bytes, cutEvery: bytes.count + 1)
    precondition(lines(bytes, cutEvery: step) == whole, "a line depends on where it was cut")
    for line in whole { readAgain(line) }
    return 0
}

/// A line, or the beginning of a line that is too long.
private struct Line: Equatable {
    let bytes: [UInt8]
    let isWhole: Bool
}

/// The lines of these bytes, read in pieces of `step` bytes.
private func lines(_ bytes: UnsafeRawBufferPointer, cutEvery step: Int) -> [Line] {
    var reader = LineReader(limit: 64)
    var lines: [Line] = []
    var place = 0
    while place < bytes.count {
        let end = min(bytes.count, place + step)
        _ = reader.read(UnsafeRawBufferPointer(rebasing: bytes[place..<end])) { line in
            switch line {
            case .text(let text): lines.append(Line(bytes: Array(text), isWhole: true))
            case .tooLong(let beginning):
                lines.append(Line(bytes: Array(beginning), isWhole: false))
                _ = Request.tag(ofBeginning: beginning)
            }
            return true
        }
        place = end
    }
    return lines
}

private func readAgain(_ line: Line) {
    guard line.isWhole else { return }
    line.bytes.withUnsafeBytes { text in
        if let line = ServerLine.parse(text) { sayAgain(line) }
        if case .request(let request) = Request.parse(text) {
            if case .acquire(let asked) = request.verb {
                // A client makes the request in this way.
                var made = Acquire(
                    name: asked.name, mode: asked.mode, owner: asked.owner, note: asked.note,
                    mayCache: asked.mayCache)
                made.wait = asked.wait
                made.lease = asked.lease
                precondition(made == asked, "a request changes by being made anew")
            }
            var spelled: [UInt8] = []
            request.encode(into: &spelled)
            spelled.removeLast()
            spelled.withUnsafeBytes {
                precondition(Request.parse($0) == .request(request), "a request changes by being spelled")
            }
        }
    }
}

/// Encodes a parsed line, and parses and encodes the result: both texts must be the same. The original may be longer if a
/// newer daemon sent it.
private func sayAgain(_ line: ServerLine) {
    if case .reply(_, .busy(_, _, let holders)) = line {
        var same = HeldBy(holders.named)
        same.addUnnamed(holders.more)
        precondition(same == holders && same.isEmpty == holders.isEmpty, "holders change by being named")
    }
    let once = spell(line)
    let again = once.dropLast().withUnsafeBytes { ServerLine.parse($0) }
    guard let again else { preconditionFailure("what is said cannot be read") }
    precondition(spell(again) == once, "what is said changes by being read")
}

private func spell(_ line: ServerLine) -> [UInt8] {
    var spelled: [UInt8] = []
    switch line {
    case .reply(let tag, let reply): reply.encode(tag: tag, into: &spelled)
    case .row(let row): row.encode(into: &spelled)
    case .notice(let notice): notice.encode(into: &spelled)
    }
    return spelled
}
