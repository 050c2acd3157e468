import CLinux
import Glibc
import Keeping
import Posix

/// A worker that sends back what its sessions send, eight bytes at a time.
///
/// It removes its input after it has answered. So a kill may make it answer twice, and never not at all.
final class EchoWorker {
    private var kept: KeptDescriptors
    private let test: TestChannel
    private let listener: OwnedDescriptor
    private let parcel: SocketParcel
    private let events = epoll_create1(Int32(EPOLL_CLOEXEC))

    static func start() -> EchoWorker {
        do {
            guard let kept = KeptDescriptors.takeInheritance() else { exit(65) }
            return try EchoWorker(kept)
        } catch {
            print(error)
            exit(70)
        }
    }

    private init(_ inherited: consuming KeptDescriptors) throws {
        var kept = inherited
        guard let channel = kept.takeOne("test"), let path = getenv("TEST_SOCKET") else { exit(65) }
        test = TestChannel(channel)
        // Before it unpacks: so the test can kill it in the midst of that.
        test.say("start \(getpid())\(kept.mustStartEmpty ? " empty" : "")")
        if let known = kept.takeOne("listener") {
            listener = known
        } else {
            // The worker before may have been killed before it gave the listener away.
            unlink(path)
            listener = try UnixSocket.listen(at: String(cString: path), mode: 0o600)
            try kept.channel.keep("listener", [listener.rawValue])
        }
        let parcel: SocketParcel
        if let descriptors = kept.take("parcel") {
            parcel = SocketParcel(adopting: descriptors)
            let events = events
            try parcel.unpack { Self.watch($0.release(), in: events) }
        } else {
            parcel = try SocketParcel()
            try kept.channel.keep("parcel", parcel.descriptors)
        }
        try kept.channel.ready()
        self.parcel = parcel
        self.kept = kept
    }

    private static func watch(_ socket: Int32, in events: Int32) {
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: socket))
        epoll_ctl(events, EPOLL_CTL_ADD, socket, &event)
    }

    func run() -> Never {
        // TERM ends it at once: the sessions go on in the next process, if there is one.
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        for descriptor in [listener.rawValue, test.rawValue] { Self.watch(descriptor, in: events) }
        test.say("serving \(parcel.count)")
        var ready = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(events, &ready, 64, -1)
            for event in ready.prefix(max(0, Int(count))) {
                switch event.data.fd {
                case listener.rawValue: welcome()
                case test.rawValue:
                    switch test.next() {
                    case "count": test.say("count \(parcel.count) \(parcel.inFlight)")
                    default: exit(0)
                    }
                default: answer(event.data.fd)
                }
            }
        }
    }

    private func welcome() {
        while let socket = try? UnixSocket.accept(from: listener) {
            let number = socket.release()
            guard parcel.put(number) == .kept else { exit(70) }
            Self.watch(number, in: events)
        }
    }

    private func answer(_ socket: Int32) {
        var number: UInt64 = 0
        let count = recv(socket, &number, 8, Int32(MSG_PEEK | MSG_DONTWAIT))
        if count == 0 {
            shutdown(socket, Int32(SHUT_RDWR))
            parcel.remove(socket)
            close(socket)
        } else if count == 8 {
            send(socket, &number, 8, Int32(MSG_NOSIGNAL))
            recv(socket, &number, 8, 0)
        }
    }
}
