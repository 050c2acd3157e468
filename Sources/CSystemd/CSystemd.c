/* Loads libsystemd when it is needed.

   The loader needs 0.8 ms for it and the six libraries that it brings, and a daemon that no service manager has started needs
   none of them. Each function here has the name and the type of the library's, and calls that. If the library is missing, it
   fails with -ENOSYS. */

#include <dlfcn.h>
#include <errno.h>

#include "CSystemd.h"

/* Not visible to the library itself, which calls its own functions by the same names. */
#define HIDDEN __attribute__((visibility("hidden")))

/* The library's function of this name; null if it is missing. Two threads may load it at once: they get the same one. */
static void *find(const char *name) {
    static void *library;
    if (!library)
        library = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    return library ? dlsym(library, name) : 0;
}

#define FORWARD(result, missing, name, parameters, arguments) \
    HIDDEN result name parameters { \
        static __typeof__(&name) real; \
        if (!real) \
            real = (__typeof__(real))find(#name); \
        return real ? real arguments : missing; \
    }

FORWARD(int, -ENOSYS, sd_watchdog_enabled, (int unset, uint64_t *microseconds), (unset, microseconds))
FORWARD(int, -ENOSYS, sd_listen_fds_with_names, (int unset, char ***names), (unset, names))

FORWARD(int, -ENOSYS, sd_bus_new, (sd_bus **bus), (bus))
FORWARD(int, -ENOSYS, sd_bus_open_system, (sd_bus **bus), (bus))
FORWARD(sd_bus *, 0, sd_bus_close_unref, (sd_bus *bus), (bus))
FORWARD(int, -ENOSYS, sd_bus_set_method_call_timeout, (sd_bus *bus, uint64_t microseconds), (bus, microseconds))
FORWARD(int, -ENOSYS, sd_bus_set_address, (sd_bus *bus, const char *address), (bus, address))
FORWARD(int, -ENOSYS, sd_bus_start, (sd_bus *bus), (bus))
FORWARD(
    int, -ENOSYS, sd_bus_call,
    (sd_bus *bus, sd_bus_message *message, uint64_t microseconds, sd_bus_error *error, sd_bus_message **reply),
    (bus, message, microseconds, error, reply))
FORWARD(
    int, -ENOSYS, sd_bus_get_property_trivial,
    (sd_bus *bus, const char *destination, const char *path, const char *interface, const char *member,
     sd_bus_error *error, char type, void *value),
    (bus, destination, path, interface, member, error, type, value))
FORWARD(
    int, -ENOSYS, sd_bus_message_new_method_call,
    (sd_bus *bus, sd_bus_message **message, const char *destination, const char *path, const char *interface,
     const char *member),
    (bus, message, destination, path, interface, member))
FORWARD(sd_bus_message *, 0, sd_bus_message_unref, (sd_bus_message *message), (message))
FORWARD(
    int, -ENOSYS, sd_bus_message_append_basic, (sd_bus_message *message, char type, const void *value),
    (message, type, value))
FORWARD(
    int, -ENOSYS, sd_bus_message_open_container, (sd_bus_message *message, char type, const char *contents),
    (message, type, contents))
FORWARD(int, -ENOSYS, sd_bus_message_close_container, (sd_bus_message *message), (message))

HIDDEN void sd_bus_error_free(sd_bus_error *error) {
    void (*real)(sd_bus_error *) = (void (*)(sd_bus_error *))find("sd_bus_error_free");
    if (real)
        real(error);
}
