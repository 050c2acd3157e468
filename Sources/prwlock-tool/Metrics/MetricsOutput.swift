import Posix

/// Where metrics go.
///
/// In each case they are complete when no daemon answers: `prwlock_up` is 0 then. So this is no failure of the command, and a
/// file does not keep what an earlier run has written. The reason is on standard error.
enum MetricsOutput {
    case standard
    /// The file at this path is replaced.
    case file(String)
    /// A client's request is answered.
    case http

    func write(_ scrape: MetricsScrape, in format: MetricFormat) throws(Complaint) {
        let metrics = {
            let (families, complaint) = scrape.families()
            if let complaint { StandardError.report(complaint.line) }
            return format.text(of: families)
        }
        switch self {
        case .standard: StandardOutput.write(Shown(ofThisProgram: metrics()))
        case .file(let path):
            do throws(SystemError) {
                try WholeFile.replace(path, with: metrics())
            } catch {
                throw Complaint("the output cannot be written: \(error)", code: Complaint.output)
            }
        case .http: HTTPExchange(format: format).run(metrics: metrics)
        }
    }
}
