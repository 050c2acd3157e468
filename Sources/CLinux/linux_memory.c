#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
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

void *linux_map_memory(int memory, size_t size) {
    void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory, 0);
    return address == MAP_FAILED ? NULL : address;
}
