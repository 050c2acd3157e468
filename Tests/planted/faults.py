"""The faults that `check` plants: in what, and as which replacements of text.

In a replacement, `PLANTED` is true if the fault is the one that is planted. So all faults are in one program, and each text
stands for itself when it is not. A text that does not stand exactly once in its file is an error: the fault must follow
the source.
"""

CLAIMS, CORE, SERVER = "Sources/LockClaims/", "Sources/LockCore/", "Sources/LockServer/"
SESSION, DECIDING, REQUESTS = CLAIMS + "Session.swift", CLAIMS + "Deciding.swift", CLAIMS + "Requests.swift"
ANSWERING, OBSERVING, REGISTER = CLAIMS + "Answering.swift", CLAIMS + "Observing.swift", CLAIMS + "Register.swift"
WAITS, TOKENS = CLAIMS + "FleetWaits.swift", CLAIMS + "Claims.swift"

# Name, and for each place the file, the text, and its replacement.
FAULTS = [
    # The session
    ("a lease is counted from the answer to its keep-alive", [
        (ANSWERING, "takeKeepAlive(answer, sentAt: asked.sentAt)",
         "takeKeepAlive(answer, sentAt: PLANTED ? now : asked.sentAt)"),
    ]),
    ("a lease is counted from the answer that grants it", [
        (ANSWERING, "takeLease(id, seconds, sentAt: asked.sentAt)",
         "takeLease(id, seconds, sentAt: PLANTED ? now : asked.sentAt)"),
    ]),
    ("a lease is counted without a margin", [
        (SESSION, "lease - configuration.margin(of: lease)",
         "lease - (PLANTED ? .zero : configuration.margin(of: lease))"),
    ]),
    ("the end of the lease is not looked at", [
        (SESSION, "if let validUntil, now >= validUntil {", "if !PLANTED, let validUntil, now >= validUntil {"),
    ]),
    ("the end of the lease takes no grants back", [
        (SESSION, "        isSeized = true\n", "        isSeized = !PLANTED\n"),
        (SERVER + "Fleet.swift", "            table.seize(name, at: now)\n", "            if !PLANTED { table.seize(name, at: now) }\n"),
    ]),
    ("an input is answered before the end of the lease is looked at", [
        (SERVER + "Fleet.swift", "{ if now >= claimsEnd { advanceFleet", "{ if !PLANTED, now >= claimsEnd { advanceFleet"),
    ]),
    ("a session is told of a later end than that of the claims", [
        (SERVER + "Fleet.swift", "Until(now.duration(to: claimsEnd), from: now)",
         "Until(now.duration(to: claimsEnd) + (PLANTED ? .milliseconds(300) : .zero), from: now)"),
    ]),
    ("a late answer to an old session is believed", [
        (ANSWERING, "let isCurrent = asked.generation == generation",
         "let isCurrent = PLANTED || asked.generation == generation"),
    ]),
    ("a restored backup is not noticed", [
        (ANSWERING, "if revision < asked.seen {", "if !PLANTED, revision < asked.seen {"),
        (SESSION, "guard revision + offset < highestEpoch else", "guard !PLANTED, revision + offset < highestEpoch else"),
    ]),
    ("a restored backup does not raise the offset of tokens", [
        (SESSION, "settings?.offset = highestEpoch - revision + 1 << 24",
         "if !PLANTED { settings?.offset = highestEpoch - revision + 1 << 24 }"),
    ]),
    # Swaps
    ("a swap does not compare that its own session lives", [
        (REQUESTS, "var comparisons: [Comparison] = [.created(key: keys.host(session.host), at: session.number)]",
         "var comparisons: [Comparison] =\n            PLANTED ? [] : [.created(key: keys.host(session.host), at: session.number)]"),
    ]),
    ("a host that has waited gets a claim without a look whether it lives", [
        (REQUESTS, "for host in compared(swaps, session).live {", "for host in compared(swaps, session).live where !PLANTED {"),
    ]),
    ("a swap does not compare the revision of the register", [
        (REQUESTS, "            comparisons.append(.modified(key: key, at: swap.modified))\n",
         "            if !PLANTED { comparisons.append(.modified(key: key, at: swap.modified)) }\n"),
    ]),
    ("a swap removes sessions without a comparison that they have ended", [
        (REQUESTS, "for host in compared(swaps, session).dead {", "for host in compared(swaps, session).dead where !PLANTED {"),
        (OBSERVING, "return session.number <= max(", "return PLANTED || session.number <= max("),
    ]),
    ("a time-out of a swap is taken for a no", [
        (ANSWERING, "records[swap.name]?.needsLookup = true\n                if swap",
         "records[swap.name]?.needsLookup = !PLANTED\n                if PLANTED { records[swap.name]?.doubt = nil }\n                if swap"),
    ]),
    ("a time-out of a swap is taken for a yes", [
        (ANSWERING, "        case .refused(let refusal): takeRefusal(refusal, swaps)\n",
         "        case .refused(let refusal): takeRefusal(refusal, swaps)\n"
         "        case .unknown where PLANTED: takeSuccess(swaps, newestRevision + 1)\n"),
    ]),
    ("a yield that may yet be carried out is forgotten", [
        (REQUESTS, "guard let remains = swap.givesUp else { return }", "guard !PLANTED, let remains = swap.givesUp else { return }"),
    ]),
    ("a killed process leaves no doubt", [
        (SESSION, "restoredUpTo = .max", "restoredUpTo = PLANTED ? 0 : .max"),
    ]),
    ("a claim that came back unseen keeps its old tokens", [
        (OBSERVING, "        noteReturn(&record, former)\n", "        if !PLANTED { noteReturn(&record, former) }\n"),
    ]),
    ("a claim is given up before the rules have given it back", [
        (DECIDING, "} else if record.situation.fleet == .all {", "} else if PLANTED || record.situation.fleet == .all {"),
    ]),
    ("a write claim becomes a read claim before the rules have given it back", [
        (DECIDING, "            record.situation.fleet == .read\n", "            PLANTED || record.situation.fleet == .read\n"),
    ]),
    # What the store has
    ("a stale event of the watch is believed", [
        (OBSERVING, "guard former.asOf <= revision else {", "guard PLANTED || former.asOf <= revision else {"),
    ]),
    ("the absence of a key is forgotten before the watch has passed it", [
        (OBSERVING, "if listing == nil, watchedTo >= knowledge.asOf {", "if PLANTED || listing == nil && watchedTo >= knowledge.asOf {"),
    ]),
    ("a lost watch is not begun again", [
        (OBSERVING, "listAt = now.advanced(by: .milliseconds(100))", "listAt = PLANTED ? nil : now.advanced(by: .milliseconds(100))"),
    ]),
    ("a watch begins one revision late", [
        (OBSERVING, ".watch(from: revision + 1)", ".watch(from: revision + (PLANTED ? 2 : 1))"),
    ]),
    ("that a host has died is not noticed", [
        (OBSERVING, "case .host(let host): noteHost(host, nil, asOf: revision)",
         "case .host(let host): if !PLANTED { noteHost(host, nil, asOf: revision) }"),
    ]),
    ("no host removes dead sessions from names that it does not use", [
        (OBSERVING, "guard isOldest else { return }", "guard !PLANTED, isOldest else { return }"),
    ]),
    # The order of the queue
    ("the last waiter gets the claim first", [
        (REGISTER, "        var promoted: [HostSession] = []\n",
         "        var promoted: [HostSession] = []\n        if PLANTED, waiters.first?.isUpgrade == false { waiters.reverse() }\n"),
    ]),
    ("a reading host passes a waiting writer", [
        (REGISTER, "        if let first = waiters.first { waiters = [first]",
         "        if PLANTED, let place = waiters.firstIndex(where: { $0.mode == .read && isCompatible($0) }) {\n"
         "            promoted.append(waiters[place].session)\n"
         "            holders.append(Holder(mode: .read, session: waiters.remove(at: place).session))\n        }\n"
         "        if let first = waiters.first { waiters = [first]"),
    ]),
    ("an upgrade is granted beside readers of other hosts", [
        (REGISTER, "holders.allSatisfy { $0.session == waiter.session ||",
         "PLANTED && waiter.isUpgrade || holders.allSatisfy { $0.session == waiter.session ||"),
    ]),
    ("a host does not give a claim up while its sessions use the lock", [
        (DECIDING, "guard now >= turn || !record.situation.isUsed else", "guard !PLANTED && now >= turn || !record.situation.isUsed else"),
    ]),
    ("a request that must not wait waits", [
        (DECIDING, "        if first.isProbe {\n", "        if first.isProbe, !PLANTED {\n"),
        (REGISTER, "filter { !$0.isProbe } }", "filter { PLANTED || !$0.isProbe } }"),
    ]),
    # Marks
    ("the mark of a dead writer is lost at a sweep", [
        (REGISTER, "{ mark = .maybe }", "{ mark = PLANTED ? mark : .maybe }"),
    ]),
    ("the mark of a dead writer is lost when a claim is given up", [
        (REGISTER, "if claim(of: session) == .write { self.mark = mark }",
         "if !PLANTED, claim(of: session) == .write { self.mark = mark }"),
    ]),
    ("a new claim shows no mark", [
        (SERVER + "Fleet.swift", "table.setMark(name, directive.mark.map(Mark.init), at: now)",
         "table.setMark(name, PLANTED ? nil : directive.mark.map(Mark.init), at: now)"),
    ]),
    # Tokens
    ("a new claim does not raise the floor of tokens", [
        (DECIDING, "floorEpoch = max(floorEpoch, record.modified + offset)",
         "if !PLANTED { floorEpoch = max(floorEpoch, record.modified + offset) }"),
    ]),
    ("the gate of tokens is ignored", [
        (TOKENS, "token(session == nil ? floorEpoch : gateRevision + 1 + offset)",
         "token(session == nil ? floorEpoch : gateRevision + (PLANTED ? 1_000 : 1) + offset)"),
    ]),
    # The rules
    ("readers keep their grants when a claim ends", [
        (CORE + "Fleet.swift", "for grant in held { revokeAtOnce(grant) }",
         "for grant in held where !PLANTED || grants[grant].mode != .read { revokeAtOnce(grant) }"),
    ]),
    # Circles
    ("circles are not looked for", [
        (WAITS, "            guard let circle = Self.circle(from: edge, before) else { continue }\n",
         "            guard !PLANTED, let circle = Self.circle(from: edge, before) else { continue }\n"),
    ]),
    ("a circle is refused without a second look", [
        (WAITS, "if now >= since.advanced(by: Self.patience) {", "if PLANTED || now >= since.advanced(by: Self.patience) {"),
        (WAITS, "var lasting = next.filter { latest[$0.key] != nil }", "var lasting = next.filter { PLANTED || latest[$0.key] != nil }"),
    ]),
]

# These live through all histories so far: the simulation lacks what shows them. `check` says when it catches one.
UNSEEN = {
    # A watch that is behind is noticed in another way too (`WatchCare`), only later.
    "a lost watch is not begun again",
    "a claim that came back unseen keeps its old tokens",
    "the absence of a key is forgotten before the watch has passed it",
}
