#if Etcd
    import CNghttp2

    /// The client's side of one HTTP/2 connection, by libnghttp2: bytes in and events out, requests in and bytes out. No
    /// I/O.
    ///
    /// libnghttp2 calls back only within `receive` and `takeOutput`. The callbacks add to `events` and do nothing else, so
    /// its owner changes the session only after they have returned.
    final class HTTP2Session {
        typealias StreamID = Int32

        enum Event: Equatable {
            case header(StreamID, name: String, value: String)
            case data(StreamID, [UInt8])
            /// The last event of a stream, with HTTP/2's error code.
            case closed(StreamID, code: UInt32)
            /// The server takes no more requests, with its words.
            case goAway(code: UInt32, String)
        }

        /// The error code that says that the server has not looked at the request.
        static let refusedStream = NGHTTP2_REFUSED_STREAM.rawValue

        /// How many bytes a server may send before we have taken them, on a stream and on all. The standard is 64 KiB, less
        /// than one page of a list.
        private static let window: Int32 = 1 << 20

        /// What is still to be sent on a stream.
        private struct Body {
            var bytes: [UInt8]
            var sent = 0
            /// More may be added: a stream of messages.
            var staysOpen: Bool
        }

        private(set) var events: [Event] = []
        private var bodies: [StreamID: Body] = [:]
        private var session: OpaquePointer?

        init() throws(EtcdFault) {
            var callbacks: OpaquePointer?
            guard nghttp2_session_callbacks_new(&callbacks) == 0 else {
                throw EtcdFault("no memory for HTTP/2")
            }
            defer { nghttp2_session_callbacks_del(callbacks) }
            Self.setCallbacks(callbacks)
            // The session keeps the pointer for as long as it lives, which ends in this object's deinit.
            let context = Unmanaged.passUnretained(self).toOpaque()
            guard nghttp2_session_client_new(&session, callbacks, context) == 0 else {
                throw EtcdFault("no memory for HTTP/2")
            }
            var settings = [
                nghttp2_settings_entry(
                    settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
                    value: UInt32(Self.window)),
                nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0),
            ]
            nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), &settings, settings.count)
            nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Self.window)
        }

        deinit { nghttp2_session_del(session) }

        /// Begins a request. With `staysOpen` more bytes may follow by `write`.
        func open(headers: [(name: String, value: String)], body: [UInt8], staysOpen: Bool) throws(EtcdFault)
            -> StreamID
        {
            var provider = nghttp2_data_provider()
            provider.read_callback = { _, stream, buffer, room, flags, _, context in
                HTTP2Session.from(context)?.fill(buffer, room, of: stream, flags)
                    ?? Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
            }
            let stream = Self.withFields(headers) { fields, count in
                nghttp2_submit_request(session, nil, fields, count, &provider, nil)
            }
            guard stream > 0 else { throw Self.fault(stream) }
            bodies[stream] = Body(bytes: body, staysOpen: staysOpen)
            return stream
        }

        /// Adds to a stream that stays open.
        func write(_ bytes: [UInt8], to stream: StreamID) {
            bodies[stream]?.bytes += bytes
            nghttp2_session_resume_data(session, stream)
        }

        /// Ends a stream of which nothing more is wanted.
        func cancel(_ stream: StreamID) {
            nghttp2_submit_rst_stream(
                session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, NGHTTP2_CANCEL.rawValue)
        }

        func ping() { nghttp2_submit_ping(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil) }

        /// Takes bytes from the server. After a fault the connection is of no more use.
        func receive(_ bytes: [UInt8]) throws(EtcdFault) {
            let result = nghttp2_session_mem_recv(session, bytes, bytes.count)
            guard result >= 0 else { throw Self.fault(Int32(result)) }
        }

        func takeEvents() -> [Event] {
            defer { events = [] }
            return events
        }

        /// All bytes that are to be sent now.
        func takeOutput() throws(EtcdFault) -> [UInt8] {
            var output: [UInt8] = []
            while true {
                var pointer: UnsafePointer<UInt8>?
                let count = nghttp2_session_mem_send(session, &pointer)
                guard count >= 0 else { throw Self.fault(Int32(count)) }
                guard count > 0, let pointer else { return output }
                output += UnsafeBufferPointer(start: pointer, count: count)
            }
        }

        /// Whether HTTP/2 has come to its end, after a GOAWAY or a fault.
        var isOver: Bool {
            nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
        }

        private static func from(_ context: UnsafeMutableRawPointer?) -> HTTP2Session? {
            context.map { Unmanaged<HTTP2Session>.fromOpaque($0).takeUnretainedValue() }
        }

        private static func fault(_ code: Int32) -> EtcdFault {
            EtcdFault("HTTP/2: \(String(cString: nghttp2_strerror(code)))")
        }

        private static func setCallbacks(_ callbacks: OpaquePointer?) {
            nghttp2_session_callbacks_set_on_header_callback(callbacks) {
                _, frame, name, nameLength, value, valueLength, _, context in
                guard let frame, let session = HTTP2Session.from(context) else { return 0 }
                let text = { (start: UnsafePointer<UInt8>?, count: Int) in
                    String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
                }
                session.events.append(
                    .header(
                        frame.pointee.hd.stream_id, name: text(name, nameLength),
                        value: text(value, valueLength)))
                return 0
            }
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
                _, _, stream, bytes, count, context in
                HTTP2Session.from(context)?.events.append(
                    .data(stream, [UInt8](UnsafeBufferPointer(start: bytes, count: count))))
                return 0
            }
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, code, context in
                let session = HTTP2Session.from(context)
                session?.bodies[stream] = nil
                session?.events.append(.closed(stream, code: code))
                return 0
            }
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, context in
                guard let frame, frame.pointee.hd.type == UInt8(NGHTTP2_GOAWAY.rawValue) else { return 0 }
                let goAway = frame.pointee.goaway
                let words = UnsafeBufferPointer(start: goAway.opaque_data, count: goAway.opaque_data_len)
                HTTP2Session.from(context)?.events.append(
                    .goAway(code: goAway.error_code, String(decoding: words, as: UTF8.self)))
                return 0
            }
        }

        /// Gives the next bytes of a body to libnghttp2.
        private func fill(
            _ buffer: UnsafeMutablePointer<UInt8>?, _ room: Int, of stream: StreamID,
            _ flags: UnsafeMutablePointer<UInt32>?
        ) -> Int {
            guard let body = bodies[stream] else {
                return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
            }
            let count = min(room, body.bytes.count - body.sent)
            if count == 0, body.staysOpen { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
            _ = body.bytes.withUnsafeBufferPointer { bytes in
                UnsafeMutableBufferPointer(start: buffer, count: room).update(
                    fromContentsOf: bytes[body.sent..<body.sent + count])
            }
            let isAllSent = body.sent + count == body.bytes.count
            bodies[stream]?.sent += count
            if isAllSent {
                if body.staysOpen {
                    bodies[stream] = Body(bytes: [], staysOpen: true)
                } else {
                    flags?.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
                }
            }
            return count
        }

        /// Calls the body with header fields as libnghttp2 wants them: pointers to their bytes, which it copies.
        private static func withFields<Result>(
            _ headers: [(name: String, value: String)], _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result
        ) -> Result {
            var bytes = headers.flatMap { Array($0.name.utf8) + Array($0.value.utf8) }
            return bytes.withUnsafeMutableBufferPointer { buffer in
                var place = buffer.baseAddress
                let fields = headers.map { header in
                    let (nameLength, valueLength) = (header.name.utf8.count, header.value.utf8.count)
                    defer { place = place?.advanced(by: nameLength + valueLength) }
                    return nghttp2_nv(
                        name: place, value: place?.advanced(by: nameLength), namelen: nameLength,
                        valuelen: valueLength,
                        flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
                }
                return fields.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
            }
        }
    }
#endif
