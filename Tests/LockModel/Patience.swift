import LockVocabulary

/// The patience of readers (G2): a read that has waited for so long is ahead of the writers that came after it.
extension Model {
    /// Adds a request that begins to wait.
    mutating func append(_ request: Request) {
        var request = request
        request.arrival = arrivals
        request.since = now
        arrivals += 1
        if request.mode == .read, let patience {
            let elder = requests.first { isRead($0, of: request.party, on: request.lock) && $0.place != nil }
            request.place = elder?.place ?? (patience == .zero ? request.arrival : nil)
        }
        requests.append(request)
    }

    /// Gives all reads that have waited for long enough their places, in the order of arrival. One that closes a circle by that
    /// is refused (G8).
    mutating func losePatience() {
        for request in requests where hasWaitedTooLong(request) {
            // An earlier one may have shared its place with it.
            guard let reader = requests.first(where: { $0.id == request.id }), reader.place == nil else {
                continue
            }
            losePatience(reader)
        }
    }

    private mutating func losePatience(_ reader: Request) {
        let former = requests
        // All reads of the owner for this lock share the place: they are granted together (G4).
        for index in requests.indices
        where isRead(requests[index], of: reader.party, on: reader.lock) && requests[index].place == nil {
            requests[index].place = reader.arrival
        }
        guard hasCircle(through: reader.party) else { return }
        statesOfCircles[reader.id] = self
        requests = former
        remove(reader, [.deadlock])
    }

    /// Removes and returns the state in which a read closed a circle as it lost patience.
    public mutating func takeStateOfCircle(_ request: Int) -> Model? {
        statesOfCircles.removeValue(forKey: request)
    }

    private func isRead(_ request: Request, of party: Party, on lock: String) -> Bool {
        request.mode == .read && request.party == party && request.lock == lock
    }

    /// Whether a read is still behind all writers, although its patience is over.
    func hasWaitedTooLong(_ request: Request) -> Bool {
        guard let patience, request.mode == .read, request.place == nil else { return false }
        return request.since.advanced(by: patience) <= now
    }
}
