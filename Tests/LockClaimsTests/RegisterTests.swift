import LockVocabulary
import Testing

@testable import LockClaims

/// A register by its text, without the first line.
private func register(_ lines: String...) -> Register {
    var text = "prwlock-claim 1\n"
    for line in lines { text += line + "\n" }
    guard let register = Register(text: Array(text.utf8)) else { fatalError("no register: \(text)") }
    return register
}

private func session(_ host: String, _ number: Revision) -> HostSession {
    guard let name = HostName(host) else { fatalError("no host name: \(host)") }
    return HostSession(host: name, number: number)
}

private let one = session("web1", 11)
private let two = session("web2", 12)
private let three = session("web3", 13)

@Suite("The text of a register")
struct RegisterTextTests {
    @Test(
        "what is written is read, and written as before",
        arguments: [
            "holds write web1 1234\n",
            "holds read web1 12\nholds read web2 13\nwaits write web3 14\nwaits read web4 15\n",
            "holds read web1 12\nwaits write web1 12 upgrade\nmark yes\n",
            "holds write web1 12\nwaits read web2 13 probe\nmark maybe\n", "mark maybe\n",
        ])
    func roundTrip(lines: String) {
        let text = Array("prwlock-claim 1\n\(lines)".utf8)
        #expect(Register(text: text)?.text == text)
    }

    @Test(
        "a damaged value is no register",
        arguments: [
            "", "prwlock-claim 1\n", "prwlock-claim 2\nholds write web1 12\n",
            "prwlock-claim 1\nholds write web1 12",
            "prwlock-claim 1\nholds write web1 12\nholds read web2 13\n",
            "prwlock-claim 1\nholds update web1 12\n",
            "prwlock-claim 1\nholds write web1 012\n", "prwlock-claim 1\nholds write web1 0\n",
            "prwlock-claim 1\nholds write web1 -3\n", "prwlock-claim 1\nholds  write web1 12\n",
            "prwlock-claim 1\nholds write we/b1 12\n", "prwlock-claim 1\nmark yes\nholds write web1 12\n",
            "prwlock-claim 1\nwaits read web1 12\nholds read web2 13\n", "prwlock-claim 1\nmark no\n",
            "prwlock-claim 1\nholds read web1 12\nholds read web1 13\n",
            "prwlock-claim 1\nmark yes\nmark yes\n",
            "prwlock-claim 1\nholds read web1 12\nwaits read web2 13 upgrade\n",
            "prwlock-claim 1\nholds write web1 12\nnews\n", "prwlock-claim 1\nholds write w\u{e9}b 12\n",
        ])
    func damage(text: String) { #expect(Register(text: Array(text.utf8)) == nil) }
}

@Suite("The changes of a register")
struct RegisterTests {
    @Test("reads go together, and a write waits for them, and later reads for the write")
    func order() {
        var now = register("holds read web1 11")
        now.setWaiter(.init(mode: .write, session: two), of: two)
        #expect(now.promote() == [])
        now.setWaiter(.init(mode: .read, session: three), of: three)
        #expect(now.promote() == [])
        #expect(now == register("holds read web1 11", "waits write web2 12", "waits read web3 13"))
        now.yield(one, mark: .yes)
        #expect(now.promote() == [two])
        #expect(now == register("holds write web2 12", "waits read web3 13"), "a read claim leaves no mark")
        now.yield(two, mark: .yes)
        #expect(now.promote() == [three])
        #expect(now == register("holds read web3 13", "mark yes"))
    }

    @Test("a session's own read claim does not keep it from the write claim")
    func rise() {
        var now = register("holds read web1 11")
        now.setWaiter(.init(mode: .write, session: one), of: one)
        #expect(now.promote() == [one])
        #expect(now == register("holds write web1 11"))
    }

    @Test("an upgrade goes before all that wait, and keeps its read claim until then")
    func upgrade() {
        var now = register("holds read web1 11", "holds read web3 13", "waits write web2 12")
        now.setWaiter(.init(mode: .write, session: one, isUpgrade: true), of: one)
        #expect(now.promote() == [])
        #expect(now.blocked(by: three).map(\.session) == [one, two])
        #expect(now.blocked(by: one) == [], "it yields to no waiter behind it")
        now.yield(three, mark: nil)
        #expect(now.promote() == [one])
        #expect(now == register("holds write web1 11", "waits write web2 12"))
    }

    @Test("a host that changes its wish keeps its place")
    func place() {
        var now = register("holds write web1 11", "waits read web2 12", "waits read web3 13")
        now.setWaiter(.init(mode: .write, session: two), of: two)
        #expect(now == register("holds write web1 11", "waits write web2 12", "waits read web3 13"))
        now.setWaiter(nil, of: two)
        #expect(now == register("holds write web1 11", "waits read web3 13"))
    }

    @Test("a shared write claim lets readers in, with the mark")
    func share() {
        var now = register("holds write web1 11", "waits read web2 12", "waits write web3 13")
        now.share(one, mark: .yes)
        #expect(now.promote() == [two])
        #expect(
            now == register("holds read web1 11", "holds read web2 12", "waits write web3 13", "mark yes"))
    }

    @Test("a dead writer leaves a mark, and a dead reader none")
    func sweep() {
        var writer = register("holds write web1 11", "waits read web2 12")
        writer.sweep([one])
        #expect(writer.promote() == [two])
        #expect(writer == register("holds read web2 12", "mark maybe"))
        var reader = register("holds read web1 11", "waits write web2 12", "waits write web3 13")
        reader.sweep([one, two])
        #expect(reader.promote() == [three])
        #expect(reader == register("holds write web3 13"))
    }

    @Test("a probe stays only at the head of the queue")
    func probe() {
        var now = register("holds write web1 11", "waits write web2 12")
        now.setWaiter(.init(mode: .write, session: three, isProbe: true), of: three)
        _ = now.promote()
        #expect(now == register("holds write web1 11", "waits write web2 12"))
    }
}
