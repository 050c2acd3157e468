#if Etcd
    import COpenSSL

    /// TLS on one connection, by OpenSSL: encrypted bytes in and out on one side, plain ones on the other. No I/O.
    final class TLSSession {
        private let ssl: OpaquePointer
        /// What has come from the server, and what is to go there. OpenSSL owns and frees both.
        private let incoming: OpaquePointer
        private let outgoing: OpaquePointer
        private let host: String
        /// Plain bytes that wait for the end of the handshake.
        private var waiting: [UInt8] = []
        private(set) var isEstablished = false

        /// Begins a handshake with a server that has to prove that it is this host.
        init(_ context: TLSContext, host: String) throws(EtcdFault) {
            guard let ssl = SSL_new(context.rawValue) else { throw EtcdFault("no memory for TLS") }
            guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
                SSL_free(ssl)
                throw EtcdFault("no memory for TLS")
            }
            SSL_set_bio(ssl, incoming, outgoing)
            (self.ssl, self.incoming, self.outgoing, self.host) = (ssl, incoming, outgoing, host)
            // An address is compared with the addresses in the certificate, a name with the names.
            let parameters = SSL_get0_param(ssl)
            if X509_VERIFY_PARAM_set1_ip_asc(parameters, host) != 1 {
                ERR_clear_error()
                guard X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1,
                    openssl_set_server_name(ssl, host) == 1
                else {
                    throw EtcdFault("\(host) is no name that a certificate could have")
                }
            }
            SSL_set_verify(ssl, SSL_VERIFY_PEER, nil)
            SSL_set_connect_state(ssl)
            _ = try read()
        }

        deinit { SSL_free(ssl) }

        /// Takes encrypted bytes; returns the plain ones.
        func receive(_ bytes: [UInt8]) throws(EtcdFault) -> [UInt8] {
            var rest = bytes[...]
            var plain: [UInt8] = []
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    BIO_write(incoming, $0.baseAddress, Int32(clamping: $0.count))
                }
                guard count > 0 else { throw EtcdFault("no memory for TLS") }
                rest = rest.dropFirst(Int(count))
                plain += try read()
            }
            return plain
        }

        /// Encrypts plain bytes, as soon as that is possible.
        func send(_ bytes: [UInt8]) throws(EtcdFault) {
            waiting += bytes
            guard isEstablished, !waiting.isEmpty else { return }
            // The memory BIO grows, so all is taken at once.
            let count = waiting.withUnsafeBytes { SSL_write(ssl, $0.baseAddress, Int32(clamping: $0.count)) }
            guard count == waiting.count else { throw fault(of: count) }
            waiting = []
        }

        /// All encrypted bytes that are to be sent now.
        func takeOutput() -> [UInt8] {
            let count = BIO_ctrl_pending(outgoing)
            guard count > 0 else { return [] }
            return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                filled = max(0, Int(BIO_read(outgoing, buffer.baseAddress, Int32(clamping: count))))
            }
        }

        /// Goes on with the handshake, and decrypts what has come.
        private func read() throws(EtcdFault) -> [UInt8] {
            ERR_clear_error()
            if !isEstablished {
                let result = SSL_do_handshake(ssl)
                guard result == 1 else {
                    guard SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ else { throw fault(of: result) }
                    return []
                }
                try checkProtocol()
                isEstablished = true
                try send([])
            }
            var plain: [UInt8] = []
            while true {
                var count: Int32 = 0
                plain += [UInt8](unsafeUninitializedCapacity: 16_384) { buffer, filled in
                    count = SSL_read(ssl, buffer.baseAddress, 16_384)
                    filled = max(0, Int(count))
                }
                guard count <= 0 else { continue }
                switch SSL_get_error(ssl, count) {
                case SSL_ERROR_WANT_READ, SSL_ERROR_ZERO_RETURN: return plain
                default: throw fault(of: count)
                }
            }
        }

        /// Throws unless both sides have agreed on HTTP/2.
        private func checkProtocol() throws(EtcdFault) {
            var name: UnsafePointer<UInt8>?
            var length: UInt32 = 0
            SSL_get0_alpn_selected(ssl, &name, &length)
            let agreed = String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
            guard agreed == "h2" else {
                throw EtcdFault("TLS: the server does not speak HTTP/2, so it is no etcd")
            }
        }

        private func fault(of result: Int32) -> EtcdFault {
            let verdict = SSL_get_verify_result(ssl)
            guard verdict == X509_V_OK else {
                let reason = String(cString: X509_verify_cert_error_string(verdict))
                return EtcdFault("TLS: the certificate of \(host) is not accepted: \(reason)")
            }
            let reason = TLSContext.lastReason()
            if reason.contains("wrong version number") {
                return EtcdFault("TLS: the server does not speak TLS (is it etcd:// and not etcds://?)")
            }
            let hint =
                reason.contains("alert") ? " (does it ask for a client certificate that it knows?)" : ""
            return EtcdFault("TLS: \(reason)\(hint)")
        }
    }
#endif
