import LockVocabulary
import Seeded
import Testing

@testable import LockClaims

@Suite("Keys of names")
struct KeysTests {
    private let keys = Keys(prefix: Array("prwlock/".utf8))

    /// Bytes that could mean something to a store, a path or a line.
    private static let nasty: [[UInt8]] =
        [
            "", "/", "//", "..", "../", "/../hosts/web1", "fleet", "../fleet", "hosts/", "waits/", "n/", "%",
            "%2F", "%2f", "%00",
        ]
        .map { Array($0.utf8) } + [
            [0], [10], [13, 10], [32], [0x7f], [0xff], [0xff, 0xff], [0xc3, 0xa9], [0xc0, 0xaf],
        ]

    @Test(
        "whatever a user gives as a name, its key lies below n/ and is that of no other name",
        arguments: SeededGenerator.newSeeds)
    func names(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var names: [[UInt8]: LockName] = [:]
        for _ in 0..<2_000 {
            var bytes: [UInt8] = []
            for _ in 0..<generator.number(0...6) {
                bytes += generator.pick(Self.nasty + [[UInt8(generator.number(0...255))]])
            }
            if generator.happens(5) {
                bytes += Array(repeating: UInt8(generator.number(0...255)), count: 300)
            }
            // As a line of the protocol has it, and as a library writes what a program gives.
            for name in [bytes.withUnsafeBytes { LockName(bytes: $0) }, LockName(encoding: bytes)] {
                guard let name else { continue }
                let key = keys.register(name)
                #expect(key.starts(with: Array("prwlock/n/".utf8)) && key.count > keys.names.count)
                #expect(key.count <= keys.names.count + LockName.maximumLength)
                #expect(key.allSatisfy { (0x21...0x7e).contains($0) }, "\(name)")
                #expect(keys.subject(of: key) == .register(name))
                #expect(names[key] ?? name == name)
                names[key] = name
            }
        }
        #expect(names.count > 500)
    }

    @Test("a key that no daemon writes is about nothing", arguments: SeededGenerator.newSeeds)
    func foreign(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2_000 {
            let key =
                generator.pick([keys.prefix, keys.names, keys.hosts, keys.waits, keys.fleet, []])
                + generator.pick(Self.nasty) + generator.pick(Self.nasty)
            switch keys.subject(of: key) {
            case .fleet: #expect(key == keys.fleet)
            case .host(let host): #expect(key == keys.host(host))
            case .waits(let host): #expect(key == keys.waits(host))
            case .register(let name): #expect(key == keys.register(name))
            case .foreign: break
            }
        }
    }
}
