import LockVocabulary

/// What each answer changes. An answer to a former session changes nothing: it may come from a store that was replaced since.
extension Claims {
    mutating func take(_ answer: StoreAnswer, to asked: InFlight) {
        if case .unknown(let reason) = answer {
            lastTrouble = reason
        } else {
            noteAnswer()
        }
        let isCurrent = asked.generation == generation
        if case .transaction(_, _, let revision) = answer, isCurrent {
            if revision < asked.seen { return takeRestored(revision, asked) }
            see(revision)
        }
        guard asked.era == era else { return release(asked.purpose) }
        switch asked.purpose {
        case .swap where !isCurrent, .lookup where !isCurrent: release(asked.purpose)
        case .swap(let swaps): takeSwap(answer, swaps)
        case .lookup(let name): takeLookup(answer, name)
        case .revoke: takeRevocation(answer)
        case .grantLease:
            guard case .lease(let id, let seconds) = answer else { return retry(answer, isCurrent) }
            if isCurrent { takeLease(id, seconds, sentAt: asked.sentAt) } else { outbox.append(.revoke(id)) }
        case _ where !isCurrent: break
        case .look:
            guard case .transaction(_, let reads, let revision) = answer else {
                return retry(answer, isCurrent)
            }
            takeLook(reads, revision)
        case .register:
            guard case .transaction(let succeeded, let reads, let revision) = answer else {
                return retry(answer, isCurrent)
            }
            if succeeded { begin(revision) } else { takeLook(reads, revision) }
        case .keepAlive: takeKeepAlive(answer, sentAt: asked.sentAt)
        case .list(let number):
            guard case .transaction(_, let reads, let revision) = answer, reads.count == 2 else {
                if number == listingNumber, listing != nil {
                    (listing, listAt) = (nil, now.advanced(by: .milliseconds(200)))
                }
                return
            }
            noteSettings(reads[1].first?.modified, asOf: revision)
            takePage(reads[0], of: number, revision)
        case .raiseGate, .publishWaits, .check: takeOwn(answer, asked.purpose)
        case .watch: break
        }
    }

    private mutating func noteAnswer() {
        lastAnswer = now
        guard !storedState.isReachable else { return }
        storedState.isReachable = true
        storedState.unavailable = nil
        events.append(.reachableAgain)
    }

    private mutating func takeRestored(_ revision: Revision, _ asked: InFlight) {
        noteRestoredBackup(revision)
        release(asked.purpose)
        if session == nil, step != .ended { pause(.zero) }
    }

    /// Ends the requests of names to which an answer says nothing.
    private mutating func release(_ purpose: Purpose) {
        switch purpose {
        case .swap(let swaps): for swap in swaps { finish(swap.name) }
        case .lookup(let name): finish(name)
        default: break
        }
    }

    /// A step towards a session has failed: begin again after a pause.
    private mutating func retry(_ answer: StoreAnswer, _ isCurrent: Bool) {
        guard isCurrent, session == nil, step != .ended else { return }
        switch answer {
        case .refused(.notPermitted(let text)): fail(.notPermitted(withRights(text)))
        case .refused(.full):
            noteNoRoom()
            fail(.other("no room"))
        case .refused(.other(let text)): fail(.other(text))
        case .refused(.leaseNotFound):
            leaseSentAt = nil
            pause(.milliseconds(100))
        default: pause(.milliseconds(200))
        }
    }

    private mutating func takeRevocation(_ answer: StoreAnswer) {
        switch step {
        case .revoking:
            if case .unknown = answer { pause(.milliseconds(200)) } else { pause(.zero) }
        case .ending: end()
        default: break
        }
    }

    private mutating func takeOwn(_ answer: StoreAnswer, _ purpose: Purpose) {
        if case .raiseGate = purpose { isRaisingGate = false }
        switch answer {
        case .transaction(true, let reads, let revision):
            if case .check = purpose { takeCheck(reads, revision) } else { noteOwnChange(revision) }
        case .transaction(false, let reads, let revision): takeCheck(reads, revision)
        case .unknown, .refused:
            // Whether it was carried out does not matter: it says again what is so now.
            if case .publishWaits = purpose { waits.publishAgain(at: now) }
            if case .raiseGate = purpose { gatePauseEnd = now.advanced(by: .milliseconds(200)) }
            if case .refused(.full) = answer { noteNoRoom() }
            // A refusal would come again and again.
            if case .check = purpose, case .unknown = answer { outbox.append(.check) }
        default: break
        }
    }

    // MARK: - Names

    private mutating func takeLookup(_ answer: StoreAnswer, _ name: LockName) {
        if case .transaction(_, let reads, let revision) = answer, reads.count == 2 {
            noteSettings(reads[1].first?.modified, asOf: revision)
            records[name]?.needsLookup = false
            learn(name, reads[0].first, revision)
        } else {
            pauseName(name, .milliseconds(100))
        }
        finish(name)
    }

    private mutating func takeSwap(_ answer: StoreAnswer, _ swaps: [Swap]) {
        switch answer {
        case .transaction(true, _, let revision): takeSuccess(swaps, revision)
        case .transaction(false, let reads, let revision):
            noteSettings(reads.last?.first?.modified, asOf: revision)
            for (swap, pairs) in zip(swaps, reads) {
                records[swap.name]?.isAlone = swaps.count > 1
                learn(swap.name, pairs.first, revision)
            }
            if let session {
                let hosts = comparedHosts(swaps, session)
                for (host, pairs) in zip(hosts, reads.dropFirst(swaps.count)) {
                    noteHost(host, pairs.first?.created, asOf: revision)
                }
            }
        case .refused(let refusal): takeRefusal(refusal, swaps)
        default:
            for swap in swaps {
                records[swap.name]?.needsLookup = true
                if swap.givesUp != nil { records[swap.name]?.doubt?.isUnanswered = true }
                pauseName(swap.name, .milliseconds(50))
            }
        }
        for swap in swaps { finish(swap.name) }
    }

    private mutating func takeSuccess(_ swaps: [Swap], _ revision: Revision) {
        if swaps.contains(where: { !$0.isProof }) { noteOwnChange(revision) }
        for swap in swaps {
            records[swap.name]?.isAlone = false
            records[swap.name]?.fault = nil
            if swap.isProof {
                records[swap.name]?.isProbeRefused = true
            } else {
                let isAbsent = swap.next.isEmpty
                note(
                    swap.name, text: isAbsent ? [] : swap.next.text, modified: isAbsent ? 0 : revision,
                    asOf: revision)
            }
        }
    }

    private mutating func takeRefusal(_ refusal: StoreRefusal, _ swaps: [Swap]) {
        let fault: String
        switch refusal {
        case .full:
            noteNoRoom()
            fault = "the cluster has no room"
        case .notPermitted(let text): fault = "the cluster does not permit it: \(withRights(text))"
        case .other(let text): fault = "the cluster refuses: \(text)"
        case .leaseNotFound: fault = "the cluster has ended the lease"
        }
        for swap in swaps {
            records[swap.name]?.fault = fault
            pauseName(swap.name, .seconds(1))
        }
    }

    /// What etcd says of missing rights, and which ones are needed.
    private func withRights(_ text: String) -> String {
        guard text.contains("permission denied") else { return text }
        let prefix = String(decoding: keys.prefix, as: UTF8.self)
        return "\(text): its user has to read and write the keys that begin with \(prefix)"
    }

    private mutating func noteNoRoom() {
        guard noRoomUntil.map({ $0 <= now }) ?? true else { return }
        events.append(.noRoom)
        noRoomUntil = now.advanced(by: .seconds(60))
    }

    private mutating func learn(_ name: LockName, _ pair: KeyValue?, _ revision: Revision) {
        // What was asked in a session that has just ended says nothing in the next one.
        guard session != nil else { return }
        note(name, text: pair?.value ?? [], modified: pair?.modified ?? 0, asOf: revision)
    }

    private mutating func pauseName(_ name: LockName, _ duration: Duration) {
        records[name]?.pausedUntil = now.advanced(by: duration)
    }

    /// The name's request has its answer: the next one may follow.
    private mutating func finish(_ name: LockName) {
        swapsInFlight -= 1
        records[name]?.isInFlight = false
        settle(name)
    }
}
