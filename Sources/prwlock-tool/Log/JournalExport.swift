/// Reads entries in the journal's export format (systemd's "Journal Export Formats"), in pieces as they arrive.
///
/// An entry is a list of fields, and an empty line ends it. A field is a line `NAME=value`; or, for a value of any bytes, a line
/// with its name, the value's length as 64 bits with the lowest first, the value, and a line feed.
struct JournalExport {
    typealias Fields = [String: [UInt8]]

    private var pending: [UInt8] = []
    private var fields: Fields = [:]

    /// Longer values belong to no entry of the daemon; they are read and dropped.
    private static let longestValue = 1 << 16

    /// Adds bytes, and returns the entries that are complete now. A field that an entry has twice keeps its first value.
    mutating func read(_ bytes: some Sequence<UInt8>) -> [Fields] {
        pending += bytes
        var entries: [Fields] = []
        var rest = pending[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = rest[rest.startIndex..<end]
            if line.isEmpty {
                if !fields.isEmpty { entries.append(fields) }
                fields = [:]
            } else if let equals = line.firstIndex(of: UInt8(ascii: "=")) {
                add(line[line.startIndex..<equals], line[(equals + 1)...])
            } else {
                guard let value = Self.value(in: rest[(end + 1)...]) else { break }
                add(line, value)
                // The line feed behind the value.
                rest = rest[(value.endIndex + 1)...]
                continue
            }
            rest = rest[(end + 1)...]
        }
        pending = Array(rest)
        return entries
    }

    /// The value behind its length; nil if a part of it, or of its line feed, has not arrived.
    private static func value(in bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard bytes.count >= 8 else { return nil }
        let length = bytes.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let rest = bytes.dropFirst(8)
        guard length < UInt64(rest.count) else { return nil }
        return rest.prefix(Int(length))
    }

    private mutating func add(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
        let name = String(decoding: name, as: UTF8.self)
        if fields[name] == nil { fields[name] = Array(value.prefix(Self.longestValue)) }
    }
}
