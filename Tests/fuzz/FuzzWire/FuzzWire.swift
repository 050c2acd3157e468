import LockWire

/// Arbitrary bytes, cut where the first of them says: the lines must be the same as uncut, and a request that is understood
/// must be the same when it is spelled and read again. What a client reads of a daemon is only to be survived.
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

/// The lines of these bytes, read in pieces of so many; nil is one that is too long.
private func lines(_ bytes: UnsafeRawBufferPointer, cutEvery step: Int) -> [[UInt8]?] {
    var reader = LineReader(limit: 64)
    var lines: [[UInt8]?] = []
    var place = 0
    while place < bytes.count {
        let end = min(bytes.count, place + step)
        _ = reader.read(UnsafeRawBufferPointer(rebasing: bytes[place..<end])) { line in
            switch line {
            case .text(let text): lines.append(Array(text))
            case .tooLong: lines.append(nil)
            }
            return true
        }
        place = end
    }
    return lines
}

private func readAgain(_ line: [UInt8]?) {
    guard let line else { return }
    line.withUnsafeBytes { text in
        _ = ServerLine.parse(text)
        if case .request(let request) = Request.parse(text) {
            var spelled: [UInt8] = []
            request.encode(into: &spelled)
            spelled.removeLast()
            spelled.withUnsafeBytes {
                precondition(Request.parse($0) == .request(request), "a request changes by being spelled")
            }
        }
    }
}
