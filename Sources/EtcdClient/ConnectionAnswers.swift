#if Etcd
    import LockClaims
    import LockVocabulary

    /// What comes back on the streams.
    extension EtcdConnection {
        func noteHeader(_ name: String, _ value: String, of stream: HTTP2Session.StreamID) {
            switch name {
            case ":status": calls[stream]?.httpStatus = value
            case "grpc-status": calls[stream]?.grpcStatus = Int(value) ?? 2
            case "grpc-message": calls[stream]?.words = percentDecoded(value)
            default: break
            }
        }

        func noteData(_ bytes: [UInt8], of stream: HTTP2Session.StreamID, at now: Instant) throws(EtcdFault) {
            guard calls[stream]?.httpStatus == "200" else { return }
            calls[stream]?.messages.append(bytes)
            do throws(MalformedMessage) {
                while let message = try calls[stream]?.messages.next() {
                    try note(message, of: stream, at: now)
                }
            } catch {
                throw EtcdFault("an answer of etcd is damaged: \(error.reason)")
            }
        }

        private func note(
            _ message: ArraySlice<UInt8>, of stream: HTTP2Session.StreamID, at now: Instant
        ) throws(MalformedMessage) {
            switch calls[stream]?.purpose {
            case .watch: noteWatch(try WatchResponse(message))
            case .keepAlives: try noteKeepAlive(try LeaseResponse(message))
            case nil: break
            default:
                guard calls[stream]?.answer == nil else {
                    throw MalformedMessage("two answers to one request")
                }
                calls[stream]?.answer = message
            }
        }

        func noteEnd(of stream: HTTP2Session.StreamID, code: UInt32, at now: Instant) throws(EtcdFault) {
            guard let call = calls.removeValue(forKey: stream) else { return }
            if code == HTTP2Session.refusedStream, case .request(let sent) = call.purpose {
                emit(.unsent(sent.id, sent.request))
                return
            }
            guard call.httpStatus == "200" || call.httpStatus.isEmpty else {
                throw EtcdFault(
                    "the server answers with HTTP status \(call.httpStatus.prefix(3)), so it is no etcd")
            }
            let status =
                call.grpcStatus.map { CallStatus(code: $0, words: call.words) }
                ?? CallStatus(code: 2, words: "the call ended without an answer (HTTP/2 code \(code))")
            do throws(MalformedMessage) {
                switch call.purpose {
                case .authenticate: try noteToken(status, call.answer)
                case .status: try noteVersion(status, call.answer)
                case .request(let sent): try note(status, call.answer, of: sent)
                case .proof(let keepAlive): try noteProof(status, call.answer, of: keepAlive, at: now)
                case .keepAlives: try noteEndOfKeepAlives(status)
                case .watch: noteEndOfWatch(CallFailure(status))
                }
            } catch {
                throw EtcdFault("an answer of etcd is damaged: \(error.reason)")
            }
        }

        private func noteToken(_ status: CallStatus, _ answer: ArraySlice<UInt8>?) throws(MalformedMessage) {
            if status == .ok, let answer {
                token = try authenticationToken(answer)
            } else if !status.words.contains("authentication is not enabled") {
                // Without authentication there is no need for a token.
                switch CallFailure(status) {
                case .refused(let refusal):
                    let words = if case .notPermitted(let words) = refusal { words } else { status.words }
                    let user = options.user ?? ""
                    fail(
                        "\(options.authority) does not accept the password of user \(user): \(words)",
                        isCredentials: true)
                default: fail("\(options.authority): \(status.words)")
                }
                return
            }
            do throws(EtcdFault) {
                if phase == .ready {
                    resumeWithToken()
                } else {
                    isAuthenticating = false
                    try check()
                }
            } catch {
                fail("\(options.authority): \(error)")
            }
        }

        private func noteVersion(_ status: CallStatus, _ answer: ArraySlice<UInt8>?) throws(MalformedMessage)
        {
            guard status == .ok, let answer else {
                // Some versions let only an administrator ask.
                if case .refused(.notPermitted) = CallFailure(status) { return becomeReady() }
                return fail("\(options.authority) does not tell its version: \(Harmless.show(status.words))")
            }
            let response = try StatusResponse(answer)
            version = Harmless.show(String(response.version.prefix(40)))
            let numbers = response.version.split(separator: ".").prefix(2).compactMap { Int($0) }
            guard numbers.count == 2, let major = numbers.first, let minor = numbers.last,
                (major, minor) >= Self.oldest
            else {
                return fail("\(options.authority) is etcd \(version), and 3.4 or later is needed")
            }
            term = response.head.term
            guard response.leader != 0 else {
                return fail(
                    "\(options.authority) knows no leader (does a majority of the members run and reach each other?)"
                )
            }
            becomeReady()
        }

        private func note(_ status: CallStatus, _ answer: ArraySlice<UInt8>?, of sent: Sent)
            throws(MalformedMessage)
        {
            guard status == .ok else { return noteFailure(CallFailure(status), of: sent) }
            guard let answer else { throw MalformedMessage("success without an answer") }
            switch sent.request {
            case .grantLease:
                let response = try LeaseResponse(answer)
                term = response.head.term
                emit(.answer(sent.id, .lease(response.lease, seconds: response.seconds), sentAt: sent.sentAt))
            case .revokeLease:
                emit(.answer(sent.id, .revoked, sentAt: sent.sentAt))
            case .transaction(let transaction):
                let response = try TransactionResponse(answer)
                let operations = response.succeeded ? transaction.then : transaction.otherwise
                guard response.reads.count == operations.count else {
                    throw MalformedMessage(
                        "\(response.reads.count) answers to \(operations.count) operations")
                }
                term = response.head.term
                let answer = StoreAnswer.transaction(
                    succeeded: response.succeeded, reads: response.reads, revision: response.head.revision)
                emit(.answer(sent.id, answer, sentAt: sent.sentAt))
            case .keepAlive, .watch:
                break
            }
        }

        private func noteFailure(_ failure: CallFailure, of sent: Sent) {
            switch failure {
            case .refused(let refusal): emit(.answer(sent.id, .refused(refusal), sentAt: sent.sentAt))
            case .unknown(let words): emit(.answer(sent.id, .unknown(words), sentAt: sent.sentAt))
            case .memberCannot(let words):
                emit(.unsent(sent.id, sent.request))
                fail("\(options.authority): \(words)")
            case .tokenEnded:
                guard options.user != nil, !sent.hasNewToken else {
                    let words =
                        "etcd does not accept the token that it gave to user \(options.user ?? "(none)")"
                    emit(.answer(sent.id, .refused(.notPermitted(words)), sentAt: sent.sentAt))
                    return
                }
                var again = sent
                again.hasNewToken = true
                waitingForToken.append(again)
                renewToken()
            }
        }

        private func renewToken() {
            guard !isAuthenticating else { return }
            do throws(EtcdFault) { try authenticate() } catch { fail("\(options.authority): \(error)") }
        }

        // MARK: Keep-alives

        private func noteKeepAlive(_ response: LeaseResponse) throws(MalformedMessage) {
            guard let first = keepAlives.first, first.lease == response.lease else {
                throw MalformedMessage("a keep-alive of a lease that was not asked for")
            }
            var keepAlive = keepAlives.removeFirst()
            keepAlive.seconds = max(0, response.seconds)
            do throws(EtcdFault) { try prove(keepAlive) } catch { fail("\(options.authority): \(error)") }
        }

        /// The keep-alive counts if no leader was elected between its sending and the read after its answer. Otherwise it
        /// is sent again, in the new term.
        private func noteProof(
            _ status: CallStatus, _ answer: ArraySlice<UInt8>?, of keepAlive: KeepAlive, at now: Instant
        ) throws(MalformedMessage) {
            guard status == .ok, let answer else {
                let words = "a read after the keep-alive failed: \(Harmless.show(status.words))"
                emit(.answer(keepAlive.id, .unknown(words), sentAt: keepAlive.sentAt))
                if case .tokenEnded = CallFailure(status), options.user != nil { renewToken() }
                if case .memberCannot(let words) = CallFailure(status) {
                    fail("\(options.authority): \(words)")
                }
                return
            }
            let response = try TransactionResponse(answer)
            term = response.head.term
            guard response.head.term == keepAlive.term else {
                let again = KeepAlive(id: keepAlive.id, lease: keepAlive.lease, sentAt: now, term: term)
                do throws(EtcdFault) { try self.keepAlive(again) } catch {
                    fail("\(options.authority): \(error)")
                }
                return
            }
            emit(.answer(keepAlive.id, .alive(seconds: keepAlive.seconds), sentAt: keepAlive.sentAt))
        }

        private func noteEndOfKeepAlives(_ status: CallStatus) throws(MalformedMessage) {
            keepAliveStream = nil
            let unanswered = keepAlives
            keepAlives = []
            let words = Harmless.show(String(status.words.prefix(300)))
            for keepAlive in unanswered {
                emit(.answer(keepAlive.id, .unknown(words), sentAt: keepAlive.sentAt))
            }
            if case .tokenEnded = CallFailure(status), options.user != nil { return renewToken() }
            fail("\(options.authority) ended the stream of keep-alives: \(words)")
        }

        // MARK: The watch

        private func noteWatch(_ response: WatchResponse) {
            var group: [StoreChange] = []
            for change in response.changes {
                if let last = group.last, last.revision != change.revision {
                    emit(.store(.changes(group, revision: last.revision)))
                    group = []
                }
                group.append(change)
            }
            if let last = group.last {
                emit(.store(.changes(group, revision: last.revision)))
                // More changes of this revision may follow in the next fragment.
                let next = response.isFragment ? last.revision : last.revision + 1
                if let watch { self.watch = Watch(prefix: watch.prefix, next: max(watch.next, next)) }
            }
            if response.canceled {
                noteEndOfWatch(response)
            } else if response.created {
                watchHasNewToken = false
            }
        }

        private func noteEndOfWatch(_ response: WatchResponse) {
            let words = Harmless.show(String(response.reason.prefix(300)))
            if response.compacted != 0 {
                loseWatch("changes before revision \(response.compacted) are compacted")
            } else if words.contains("permission denied") || words.contains("auth token") {
                noteEndOfWatch(.tokenEnded)
            } else {
                noteEndOfWatch(.unknown(words))
            }
        }

        /// The watch goes on where it was, with a new token or on the next connection, unless it is refused.
        private func noteEndOfWatch(_ failure: CallFailure) {
            switch failure {
            // etcd says this of a watch also if the token has ended.
            case .tokenEnded, .refused(.notPermitted):
                guard options.user != nil, !watchHasNewToken else {
                    return loseWatch("etcd does not permit to watch the keys below the prefix")
                }
                watchHasNewToken = true
                endWatchStream()
                watchWaitsForToken = true
                renewToken()
            case .refused(.other(let words)): loseWatch(words)
            case .refused(let refusal): loseWatch("\(refusal)")
            case .memberCannot(let words), .unknown(let words):
                fail("\(options.authority) ended the watch: \(words)")
            }
        }

        private func endWatchStream() {
            guard let watchStream else { return }
            calls[watchStream] = nil
            http.cancel(watchStream)
            self.watchStream = nil
        }

        private func loseWatch(_ reason: String) {
            endWatchStream()
            watch = nil
            emit(.store(.watchLost(reason)))
        }
    }
#endif
