import LockVocabulary

/// The text formats of metrics.
enum MetricFormat {
    /// OpenMetrics 1.0, which Prometheus prefers when it scrapes.
    case openMetrics
    /// The text format 0.0.4 of Prometheus: node_exporter's textfile collector reads nothing else.
    ///
    /// It has no units and no type `info`, and its counters have the suffix `_total` in the name of the family.
    case prometheus

    /// The media type for an answer over HTTP.
    var contentType: String {
        switch self {
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        }
    }

    /// All families that have samples, in the order of the list.
    func text(of families: [MetricFamily]) -> String {
        var text = ""
        for family in families where !family.samples.isEmpty { append(family, to: &text) }
        if self == .openMetrics { text += "# EOF\n" }
        return text
    }

    private func append(_ family: MetricFamily, to text: inout String) {
        let name = self == .openMetrics ? family.name : family.name + family.kind.suffix
        text += "# TYPE \(name) \(typeName(of: family.kind))\n"
        if self == .openMetrics, let unit = family.unit { text += "# UNIT \(name) \(unit.rawValue)\n" }
        text += "# HELP \(name) \(escape(family.help))\n"
        for sample in family.samples {
            text += family.name + (sample.suffix.isEmpty ? family.kind.suffix : sample.suffix)
            if !sample.labels.isEmpty {
                let labels = sample.labels.map { "\($0.name)=\"\(escape(Harmless.show($0.value)))\"" }
                text += "{\(labels.joined(separator: ","))}"
            }
            text += " \(sample.value.text)\n"
        }
    }

    private func typeName(of kind: MetricFamily.Kind) -> String {
        switch (self, kind) {
        case (.prometheus, .info): "gauge"
        case (.prometheus, .unknown): "untyped"
        default: kind.rawValue
        }
    }

    /// Both formats read these escapes in the value of a label. Help texts of this program contain none of the three.
    private func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

extension MetricFamily.Kind {
    /// What the name of a sample ends with, beside the name of the family.
    var suffix: String {
        switch self {
        case .counter: "_total"
        case .info: "_info"
        case .gauge, .histogram, .unknown: ""
        }
    }
}
