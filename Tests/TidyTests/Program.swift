import Foundation
import TestSupport

/// A program of the system or of this package, run for its output.
struct Program {
    let path: String

    /// Finds an installed program; nil if it is not installed.
    init?(installed name: String) {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let places = folders.map { "\($0)/\(name)" }
        guard let found = places.first(where: FileManager.default.isExecutableFile) else { return nil }
        path = found
    }

    /// The daemon that was built with the tests.
    static let daemon = Program(path: DaemonProcess.executable)

    private init(path: String) { self.path = path }

    /// Runs the program; returns its standard output and standard error together.
    func output(_ arguments: String...) throws -> String {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }
}
