/* Calls of Linux that Swift's Glibc module lacks: it leaves out some headers, functions that need _GNU_SOURCE, functions
   with variadic arguments, and calls newer than Debian 12's headers. Each function makes one call and returns the result
   of that call, -1 with errno set on failure, unless its comment says otherwise.

   Do not define _GNU_SOURCE here: Swift builds its view of glibc without it, and the two views would not match. */

#ifndef CLINUX_H
#define CLINUX_H

#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* recv, send and epoll_wait of each batch. In a process with threads, those of glibc are points at which a thread can be
   cancelled, for 30 instructions each time. No thread of the daemon is ever cancelled. */
static inline ssize_t linux_recv(int socket, void *buffer, size_t size, int flags) {
    return syscall(SYS_recvfrom, socket, buffer, size, flags, NULL, NULL);
}

static inline ssize_t linux_send(int socket, const void *bytes, size_t size, int flags) {
    return syscall(SYS_sendto, socket, bytes, size, flags, NULL, 0);
}

static inline int linux_epoll_wait(int set, struct epoll_event *events, int most, int milliseconds) {
    return (int)syscall(SYS_epoll_pwait, set, events, most, milliseconds, NULL, 8);
}

/* Accepts a connection, with a descriptor that does not block and that no program inherits. */
int linux_accept(int listener);

/* The process, user and group that called connect() on the other end of a socket, at that time. */
int linux_peer_credentials(int socket, int32_t *process, uint32_t *user, uint32_t *group);

/* The supplementary groups of that process: at most `count`. Returns their number, or -1 (ERANGE if it has more). */
int linux_peer_groups(int socket, uint32_t *groups, int count);

/* A descriptor of the process that called connect(), readable once the process has ended (Linux 6.5). */
int linux_peer_pidfd(int socket);

/* A descriptor of a process, readable once the process has ended. No program inherits it. */
int linux_pidfd_open(int32_t process);

/* The same where pidfd_open is refused: the reading end of a pipe, which reports its end once the process has ended or
   another process has its id. `start` is the start of the process in clock ticks, or 0 if /proc does not show it. A process
   of its own checks every 50 ms, until the process has ended or the pipe is closed. Safe in a process with threads. */
int linux_watch_by_looking(int32_t process, uint64_t start);

/* Sends a signal to the process of such a descriptor, and never to a later process with its id. */
int linux_pidfd_send_signal(int pidfd, int signal);

/* A descriptor of the file or link at the path, which can neither read nor write. No program inherits it. */
int linux_open_path(const char *path);

/* The same for an entry of an open directory. */
int linux_open_entry(int directory, const char *name);

/* 1 if the kernel lets this process act as the owner of an entry that it may read, or else -1. Numbers of users do not prove
   this in a user namespace, where all users without a number there have one number. */
int linux_acts_as_owner(int directory, const char *name);

/* 1 if a directory has an access control list, or may have one, and 0 if not. */
int linux_has_access_list(int directory);

/* Closes all descriptors from one number to another, both included. */
int linux_close_range(unsigned first, unsigned last);

/* Memory as a file without a path, which cannot be made smaller. No program inherits it. */
int linux_make_memory(const char *name);

/* Makes the first `size` bytes of such memory usable, so that a store there cannot fail. */
int linux_extend_memory(int memory, int64_t size);

/* Fixes the size of such memory for ever. */
int linux_fix_memory(int memory);

/* Another descriptor of such memory, by which it can be read and not written. No process of another user, but root's, can
   open it for writing then. */
int linux_reopen_for_reading(int memory);

/* Makes the first 32 bits at this address a word that is not zero as long as the calling thread lives: a robust futex with
   its id, which the kernel removes when the thread ends, in whatever way. The address is that of a whole page. */
int linux_own_until_the_end(void *page);

/* Frees the first `size` bytes, which are zero then. */
int linux_empty_memory(int memory, int64_t size);

/* Guards a mapped page of memory that another process can change. If an access finds that the page is gone and the kernel has
   none for it (SIGBUS), all such pages get one in common, and the access goes on. Returns its place, for
   `linux_unguard_page`, or -1. One thread only makes these calls and the accesses. */
#define LINUX_MOST_GUARDED 16384
int linux_guard_page(void *page);
void linux_unguard_page(int place);

void linux_unmap_memory(void *address, size_t size);

/* Maps a range of such memory, which may be longer than what is usable. Returns NULL on failure. */
void *linux_map_memory(int memory, size_t size);

/* The number of bytes that the socket has for a reader. */
int linux_readable_bytes(int socket, int *count);

/* The status, as wait returns it, of a process that its parent has waited for, by its descriptor (Linux 6.15). */
int linux_exit_status(int pidfd, int *status);

/* The number of processors on which this thread may run. */
int linux_allowed_processors(void);

/* A limit of this process, by getrlimit's number of the resource; UINT64_MAX for no limit. */
int linux_limit(int resource, uint64_t *soft, uint64_t *hard);
int linux_set_limit(int resource, uint64_t soft, uint64_t hard);

/* Resets of settings that a process inherits. They skip each step that the kernel does not permit. */

/* Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed. */
void linux_open_standard_descriptors(void);

/* Gives each signal its standard action. */
void linux_reset_signals(void);

/* Blocks no signal. */
void linux_unblock_signals(void);

/* Raises every soft limit to its hard limit, except the size of core files. */
void linux_raise_limits(void);

/* Sets the stack size of threads that start from now on. Otherwise it is the soft limit at the start of the program. */
void linux_set_thread_stack(uint64_t bytes);

/* Standard policy, nice 0, default I/O priority, memory policy and timer slack, and every processor. */
void linux_reset_scheduling(void);

int linux_nice_value(void);
int linux_scheduling_policy(void);
extern const int linux_standard_policy;

/* A file in memory, for all processes that have its descriptor. */
int linux_memory_file(const char *name);

/* Extensions of posix_spawn; these return an error number. */
int linux_spawn_close_from(posix_spawn_file_actions_t *actions, int lowest);
int linux_spawn_change_directory(posix_spawn_file_actions_t *actions, const char *path);
extern const short linux_spawn_new_session;

/* Starts a program in a session of its own and without a parent that waits for it, with directory /, umask 077, default
   signals, none blocked, and these descriptors, from 0 on. Safe in a process with threads.

   The arguments and the environment end with a null pointer. Returns 0, or the error number of a fork that failed. If the
   program cannot be executed, its descriptor 2 gets a message, because no process waits for its status. */
int linux_spawn_detached(
    const char *path, char *const arguments[], char *const environment[], const int descriptors[], int count);

/* Detaches from the parent: goes on in a copy of this process, in a session of its own, with default signals and none
   blocked, directory / and umask 077, and ends the original process with status 0. Only for a process without other
   threads. Returns 0 in the copy, or the error number of a fork that failed. */
int linux_detach(void);

/* One message over a socket that preserves message boundaries, with a descriptor if that is not negative. No program
   inherits a received descriptor. Zero bytes mean the end. */
int linux_send_message(int socket, const void *bytes, size_t count, int descriptor);
int linux_receive_message(int socket, void *bytes, size_t count, int *descriptor);

/* The most descriptors of one message (SCM_MAX_FD). */
enum { LINUX_MOST_DESCRIPTORS = 253 };

/* One message with up to that many descriptors. These do not wait: EAGAIN if there is no room, or no message. `peeks`: the
   message stays, and its descriptors are duplicates. EMFILE: there are not enough free numbers for the descriptors of the
   message; it then stays only if it was peeked at. No program inherits a received descriptor. */
int linux_send_descriptors(int socket, const void *bytes, size_t size, const int *descriptors, int count);
int linux_receive_descriptors(
    int socket, void *bytes, size_t size, int descriptors[LINUX_MOST_DESCRIPTORS], int *count, int peeks);

/* Receives bytes of a stream without waiting, and the descriptors that come with them, at most `room`; further ones are
   closed. If numbers for descriptors are short, fewer arrive, and all bytes. No program inherits them. */
int linux_receive_bytes(int socket, void *bytes, size_t size, int *descriptors, int room, int *count);

/* Removes the first messages with their descriptors, without receiving them. Returns how many it removed: maybe fewer than
   `count`. */
int linux_drop_messages(int socket, int count);

/* Makes the next peek see the first message, and each later one the message after that (SO_PEEK_OFF). */
int linux_peek_from_first(int socket);

/* The result of waitid for a child, or for any child if the number is zero, without waiting: the process id, or zero if no
   child has changed, the code (CLD_EXITED and so on), and the exit status or signal. */
int linux_wait(int32_t process, int options, int32_t *waited, int32_t *code, int32_t *status);

/* Forbids the kernel to write a core of this process. */
int linux_forbid_core_dump(void);

/* Sends a datagram of sd_notify(3) to the address in NOTIFY_SOCKET. */
int linux_notify_manager(const char *address, const char *text);

/* Makes a socket that takes such datagrams, and writes its address, for NOTIFY_SOCKET, to `address`. */
int linux_notification_socket(char *address, size_t room);

/* The sender of the next datagram of such a socket; -1 if there is no datagram. */
int linux_notification_sender(int socket, int32_t *process, uint32_t *user);

/* Forwards the next datagram of such a socket, with its descriptors; drops it if the address is NULL. Returns -1 if the
   datagram could not be sent. Only one thread may call this. */
int linux_relay_notification(int socket, const char *address);

/* The environment of this process, a mutable global of C that Swift rejects; NULL in a program with more rights than its
   caller, because the caller's environment must not control it. */
char **linux_environment(void);

#endif
