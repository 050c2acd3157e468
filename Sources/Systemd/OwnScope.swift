#if Systemd
    import CSystemd
    import Glibc
#endif

/// Requests to service managers over D-Bus: a scope unit for this process alone, and logind's policy for sessions.
///
/// A process belongs to the unit or login session of the process that started it, and ends with that unit or session. A
/// process in a scope of its own ends only with the manager.
public enum OwnScope {
    /// The timeout of a call, in microseconds. It is short, because clients wait meanwhile.
    private static let patience: UInt64 = 1_000_000

    /// Asks the manager behind this private socket to move this process into a new scope. Returns the reason for a
    /// refusal, or nil if the manager accepted the job, which it carries out soon.
    public static func request(_ unit: String, description: String, managerSocket: String) -> String? {
        #if Systemd
            var bus: OpaquePointer?
            var code = sd_bus_new(&bus)
            guard code >= 0, let bus else { return reason(code) }
            defer { sd_bus_close_unref(bus) }
            sd_bus_set_method_call_timeout(bus, patience)
            code = sd_bus_set_address(bus, "unix:path=\(managerSocket)")
            if code >= 0 { code = sd_bus_start(bus) }
            guard code >= 0 else { return reason(code) }
            var message: OpaquePointer?
            code = sd_bus_message_new_method_call(
                bus, &message, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager", "StartTransientUnit")
            guard code >= 0, let message else { return reason(code) }
            defer { sd_bus_message_unref(message) }
            write(message, unit, description)
            var error = sd_bus_error()
            defer { sd_bus_error_free(&error) }
            code = sd_bus_call(bus, message, patience, &error, nil)
            return code >= 0 ? nil : error.message.map { String(cString: $0) } ?? reason(code)
        #else
            return "built without systemd"
        #endif
    }

    /// Whether logind kills all processes of a user's session when that session ends; false if logind does not answer.
    public static func sessionsKillTheirProcesses() -> Bool {
        #if Systemd
            var bus: OpaquePointer?
            guard sd_bus_open_system(&bus) >= 0, let bus else { return false }
            defer { sd_bus_close_unref(bus) }
            sd_bus_set_method_call_timeout(bus, patience)
            var answer: Int32 = 0
            let code = sd_bus_get_property_trivial(
                bus, "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
                "KillUserProcesses", nil, CChar(UInt8(ascii: "b")), &answer)
            return code >= 0 && answer != 0
        #else
            return false
        #endif
    }

    #if Systemd
        /// Writes the arguments `ssa(sv)a(sa(sv))`: the name, the mode if the name is taken, the properties, no other
        /// units.
        private static func write(_ message: OpaquePointer, _ unit: String, _ description: String) {
            append(message, unit)
            append(message, "fail")
            within(message, "a", "(sv)") {
                property(message, "Description", "s") { append(message, description) }
                // With this mode, systemd unloads a failed scope, so its name is free for a later one.
                property(message, "CollectMode", "s") { append(message, "inactive-or-failed") }
                property(message, "PIDs", "au") {
                    within(message, "a", "u") {
                        var process = UInt32(bitPattern: getpid())
                        sd_bus_message_append_basic(message, CChar(UInt8(ascii: "u")), &process)
                    }
                }
            }
            within(message, "a", "(sa(sv))") {}
        }

        private static func property(
            _ message: OpaquePointer, _ name: String, _ type: String, _ value: () -> Void
        ) {
            within(message, "r", "sv") {
                append(message, name)
                within(message, "v", type, value)
            }
        }

        private static func within(
            _ message: OpaquePointer, _ kind: Unicode.Scalar, _ contents: String, _ body: () -> Void
        ) {
            sd_bus_message_open_container(message, CChar(UInt8(ascii: kind)), contents)
            body()
            sd_bus_message_close_container(message)
        }

        private static func append(_ message: OpaquePointer, _ text: String) {
            sd_bus_message_append_basic(message, CChar(UInt8(ascii: "s")), text)
        }

        private static func reason(_ code: Int32) -> String { String(cString: strerror(-code)) }
    #endif
}
