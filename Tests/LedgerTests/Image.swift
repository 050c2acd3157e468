import LedgerSupport

/// The memory of a ledger as text: a line for each word that is not zero, with its offset and its value in hexadecimal.
enum Image {
    static func text(_ memory: TestMemory) -> String {
        var lines = [hex(UInt64(memory.byteCount))]
        for offset in stride(from: 0, to: memory.byteCount, by: 8) {
            let word = memory.bytes.load(fromByteOffset: offset, as: UInt64.self)
            if word != 0 { lines.append("\(hex(UInt64(offset))) \(hex(word))") }
        }
        return lines.joined(separator: "\n")
    }

    static func memory(_ text: String) -> TestMemory {
        let lines = text.split(separator: "\n").map { line in
            line.split(separator: " ").compactMap { UInt64($0, radix: 16) }
        }
        let memory = TestMemory(byteCount: Int(lines[0][0]))
        for line in lines.dropFirst() {
            memory.bytes.storeBytes(of: line[1], toByteOffset: Int(line[0]), as: UInt64.self)
        }
        return memory
    }

    private static func hex(_ number: UInt64) -> String { String(number, radix: 16) }

    /// What version 1.0 wrote, with a batch under way.
    static let version1 = """
        40000
        0 726764656c777270
        8 3ffd0000
        10 3ffd0000
        18 7ffa00
        20 1ffe8
        28 7ffa
        30 7ffa
        40 7ffa
        48 29
        50 ffffffffffffffd6
        58 2a
        60 ffffffffffffffd5
        158 3ffd
        160 ffffffffffffffff
        1000 abcdef0123456789
        1008 a25938af00000000
        1010 8000000ae6f0677a
        1018 bff7
        1020 2
        1028 27f2fe5300000010
        1038 bff7
        1100 2045524955514341
        1108 a61
        1110 4c4552
        10000 3ffd
        10010 17fee
        10018 5800100000000
        10020 6168706c61
        10028 ed70164900000000
        10038 5800100011170
        10040 616d6d6167
        10048 b53caaa700000000
        10058 4800100000005
        10060 656e6f67
        10068 64d2d95c00000000
        10070 1ffe8
        10078 800900000001
        10088 a2150df600000000
        20000 7ffa
        20010 1ffe8
        20018 15800100011170
        20020 61202c616d6d6167
        20028 6320612072657466
        20030 65676e6168
        20038 58d0ca1600000000
        20040 1ffe8
        20048 11c00200000003
        20050 6f73203731204b4f
        20058 796c70657220656d
        20060 a
        20068 b4be519e00002fca
        20070 2ffdc
        20078 f800100000006
        20080 6f6320726576656e
        20088 64657474696d6d
        20098 6c191ee900000000
        """
}
