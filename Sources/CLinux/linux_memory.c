#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

int linux_make_memory(const char *name) {
    int memory = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0) return -1;
    if (fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) == 0) return memory;
    int error = errno;
    close(memory);
    errno = error;
    return -1;
}

int linux_extend_memory(int memory, int64_t size) {
    int result;
    do result = fallocate(memory, 0, 0, size);
    while (result != 0 && errno == EINTR);
    return result;
}

int linux_fix_memory(int memory) {
    return fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int linux_reopen_for_reading(int memory) {
    char path[32];
    if (fchmod(memory, 0400) != 0) return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The kernel knows the lock word of a robust mutex of glibc, and glibc has it at the beginning. */
_Static_assert(offsetof(pthread_mutex_t, __data.__lock) == 0, "the lock word is not at the beginning");

int linux_own_until_the_end(void *page) {
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutex = page;
    int error = pthread_mutexattr_init(&attributes);
    if (error == 0) error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (error == 0) error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    /* Whatever a former owner left: it has ended, and nothing else waits for this mutex. */
    memset(page, 0, sizeof *mutex);
    if (error == 0) error = pthread_mutex_init(mutex, &attributes);
    if (error == 0) error = pthread_mutex_lock(mutex);
    errno = error;
    return error == 0 ? 0 : -1;
}

int linux_empty_memory(int memory, int64_t size) {
    return fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size);
}

void linux_unmap_memory(void *address, size_t size) { munmap(address, size); }

void *linux_map_memory(int memory, size_t size) {
    void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory, 0);
    return address == MAP_FAILED ? NULL : address;
}
