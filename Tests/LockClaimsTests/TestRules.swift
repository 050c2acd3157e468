import LockClaims
import LockVocabulary

/// A small stand-in for the rules on one shared name: holders and waiting requests without owners, in the order of arrival.
struct TestRules {
    struct Request: Equatable {
        var mode: ClaimMode
        var isProbe = false
    }

    var holders: [ClaimMode] = []
    var waiting: [Request] = []
    /// Whether a reader waits to become the writer.
    var isUpgrading = false
    var fleet = FleetHold.all
    var mark: ClaimMark?
    /// The mark that the last grant has shown.
    var shown: ClaimMark?
    var refusals: [ClaimRefusal] = []
    var lost = 0
    private var recall = Recall.none

    var situation: Situation {
        var demand = Demand.none
        for request in waiting where !isPermitted(request.mode) {
            demand = max(demand, request.mode == .read ? .read : .write)
        }
        if isUpgrading, fleet != .nothing { demand = .upgrade }
        return Situation(
            demand: demand, isProbe: demand != .none && waiting.allSatisfy(\.isProbe) && !isUpgrading,
            fleet: fleet, isUsed: !holders.isEmpty || !waiting.isEmpty, mark: mark)
    }

    mutating func follow(_ directive: Directive) {
        let wanted: FleetHold =
            switch directive.allowed {
            case .write: .nothing
            case .read: .read
            case nil: .all
            }
        if wanted.rawValue > fleet.rawValue {
            seize()
            fleet = wanted
        } else if wanted.rawValue < fleet.rawValue {
            fleet = wanted
            mark = directive.mark
        }
        recall = directive.recall
        refuse(directive.refusal)
        settle()
    }

    private mutating func refuse(_ refusal: ClaimRefusal) {
        switch refusal {
        case .none: return
        case .busy: waiting.removeAll(where: \.isProbe)
        case .deadlock: isUpgrading = false
        case .unavailable, .damaged:
            waiting = []
            isUpgrading = false
        }
        refusals.append(refusal)
    }

    /// All grants are taken back.
    mutating func seize() {
        lost += holders.count
        holders = []
        isUpgrading = false
        fleet = .all
        recall = .none
    }

    /// Gives back what is recalled, as soon as no holder is in the way, and grants what can be granted.
    mutating func settle() {
        if !holders.contains(.read) { isUpgrading = false }
        switch recall {
        case .none: break
        case .share:
            if holders.isEmpty, waiting.contains(where: { $0.mode == .write }) {
                fleet = .all
            } else if !holders.contains(.write), fleet == .nothing {
                fleet = .read
            }
        case .all: if holders.isEmpty { fleet = .all }
        }
        if isUpgrading, fleet == .nothing, holders.count == 1 {
            (isUpgrading, holders, shown) = (false, [.write], mark)
        }
        guard recall == .none || recall == .share && fleet == .read else { return }
        while let first = waiting.first, isPermitted(first.mode), !isUpgrading,
            holders.allSatisfy({ !$0.conflicts(with: first.mode) })
        {
            waiting.removeFirst()
            holders.append(first.mode)
            shown = mark
            if first.mode == .write { mark = nil }
        }
    }

    private func isPermitted(_ mode: ClaimMode) -> Bool {
        switch fleet {
        case .nothing: true
        case .read: mode == .read
        case .all: false
        }
    }
}
