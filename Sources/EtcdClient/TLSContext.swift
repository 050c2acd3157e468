#if Etcd
    import COpenSSL
    import Glibc

    /// Certificates and keys from files, for any number of TLS sessions.
    final class TLSContext {
        let rawValue: OpaquePointer

        /// Reads the files. Certificates are renewed on disk, so each connection has a context of its own.
        init(_ credentials: EtcdCredentials) throws(EtcdFault) {
            guard let context = SSL_CTX_new(TLS_client_method()) else { throw EtcdFault("no memory for TLS") }
            rawValue = context
            guard openssl_require_tls12(context) == 1 else { throw Self.fault("TLS 1.2") }
            // Otherwise OpenSSL asks the terminal for a key's pass phrase.
            SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
            let protocols: [UInt8] = [2] + Array("h2".utf8)
            guard SSL_CTX_set_alpn_protos(context, protocols, UInt32(protocols.count)) == 0 else {
                throw Self.fault("ALPN")
            }
            ERR_clear_error()
            if let authorities = credentials.authorities {
                guard SSL_CTX_load_verify_locations(context, authorities, nil) == 1 else {
                    throw Self.fault("the file of certificates to trust, \(authorities)")
                }
            } else if SSL_CTX_set_default_verify_paths(context) != 1 {
                throw Self.fault("the certificates that the system trusts")
            }
            guard let certificate = credentials.certificate, let key = credentials.key else {
                guard credentials.certificate == nil, credentials.key == nil else {
                    throw EtcdFault("a client certificate needs both its file and that of its key")
                }
                return
            }
            guard SSL_CTX_use_certificate_chain_file(context, certificate) == 1 else {
                throw Self.fault("the client certificate, \(certificate)")
            }
            guard SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 else {
                throw Self.fault("the key of the client certificate, \(key) (it must not be encrypted)")
            }
            guard SSL_CTX_check_private_key(context) == 1 else {
                throw EtcdFault("the key \(key) does not belong to the certificate \(certificate)")
            }
        }

        deinit { SSL_CTX_free(rawValue) }

        private static func fault(_ subject: String) -> EtcdFault {
            EtcdFault("TLS: \(subject): \(lastReason())")
        }

        /// `ERR_SYSTEM_FLAG`, which Swift does not import.
        private static let systemError: UInt = 1 << 31

        /// The reason of the first error that OpenSSL has noted, and forgets all.
        static func lastReason() -> String {
            let code = ERR_get_error()
            ERR_clear_error()
            guard code != 0 else { return "the connection ended" }
            // An error of the system has its number in place of a reason.
            if code & systemError != 0 {
                return String(cString: strerror(Int32(truncatingIfNeeded: code & ~systemError)))
            }
            return ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
        }
    }
#endif
