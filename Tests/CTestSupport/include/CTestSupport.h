/* A process that connects to a daemon and does nothing else until a test kills it. It is written in C because a forked
   child of a program with threads may only call async-signal-safe functions, and Swift's runtime calls others. */

#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H

#include <stdint.h>

/* Forks a process that connects to the socket and sends the connection through `control`, one end of a socketpair. The
   process then reads orders from it, a byte each:
     a  connect again, and send that connection
     f  fork a child that keeps all connections open; the child's process id comes back
     c  close its own copy of the connection; a byte comes back
   The process and its child end when the caller closes its end. If `user` is not negative, the process becomes that user
   with that supplementary group. Returns the process id, or -1. */
int32_t support_start_peer(const char *path, int control, int64_t user, int64_t group);

/* Receives the connection that the process made; -1 if it made none. */
int support_receive_connection(int control);

/* Opens a pseudo-terminal; returns its master side, or -1. */
int support_open_terminal(int *terminal);

/* Limits another process: the number of its descriptors, the size of its files. */
int support_limit_descriptors(int32_t process, uint64_t count);
int support_limit_file_size(int32_t process, uint64_t bytes);

/* The system calls that a sandbox can refuse. */
enum support_refusal {
    support_refuse_pidfd_open = 1,
    /* getsockopt with SO_PEERPIDFD; the answer is that of a kernel without it. */
    support_refuse_peer_pidfd = 2,
    support_refuse_pidfd_send_signal = 4,
    support_refuse_close_range = 8,
};

/* Executes a program under a seccomp filter that answers these calls with the error number, as container profiles,
   sandboxes and old kernels do. The program has descriptors 0, 1 and 2 only. If `user` is not negative, the program runs
   as that user, which needs root. Returns the process id, or -1. */
int32_t support_spawn_refusing(
    const char *path, char *const arguments[], char *const environment[], const int descriptors[3], unsigned refusals,
    int error, int64_t user);

/* Kills a child at the beginning, or after the end, of its `count`th call of recvmmsg for a socket, which removes
   messages of a parcel. Returns -1 if the child cannot be traced, or ends before that. */
int support_kill_at_removal(int32_t process, int socket, unsigned count, int after);

/* Removes a directory with its contents. */
void support_remove_tree(const char *path);

/* Exchanges what is at two paths, at once; -1 if that fails. */
int support_exchange(const char *path, const char *other);

#endif
