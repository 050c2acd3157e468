#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pairs.h"
#include "prwlock.h"

/* The locks of a participant in C. There is one participant in a process. */
static struct {
    struct peers_turn turn;
    int file;
    pthread_rwlock_t *pthread;
    prwlock_lock *prwlock;
} this;

/* ---- Each lock: to read, to write, to release ---- */

static int flock_read(void *lock) {
    return flock(*(int *)lock, LOCK_SH);
}

static int flock_write(void *lock) {
    return flock(*(int *)lock, LOCK_EX);
}

static int flock_unlock(void *lock) {
    return flock(*(int *)lock, LOCK_UN);
}

static int ofd(void *lock, int type, int command) {
    struct flock whole = {.l_type = (short)type, .l_whence = SEEK_SET};
    return fcntl(*(int *)lock, command, &whole);
}

static int ofd_read(void *lock) {
    return ofd(lock, F_RDLCK, F_OFD_SETLKW);
}

static int ofd_write(void *lock) {
    return ofd(lock, F_WRLCK, F_OFD_SETLKW);
}

static int ofd_unlock(void *lock) {
    return ofd(lock, F_UNLCK, F_OFD_SETLK);
}

static int pthread_read(void *lock) {
    return pthread_rwlock_rdlock(lock);
}

static int pthread_write(void *lock) {
    return pthread_rwlock_wrlock(lock);
}

static int pthread_unlock(void *lock) {
    return pthread_rwlock_unlock(lock);
}

static int prwlock_read(void *lock) {
    return prwlock_read_lock(lock, NULL);
}

static int prwlock_write(void *lock) {
    return prwlock_write_lock(lock, NULL);
}

static int prwlock_leave(void *lock) {
    return prwlock_unlock(lock);
}

/* ---- Their pairs ---- */

static int64_t flock_pairs(void *lock, enum peers_kind kind, uint64_t count) {
    return peers_make(lock, &this.turn, kind, count, flock_read, flock_write, flock_unlock);
}

static int64_t ofd_pairs(void *lock, enum peers_kind kind, uint64_t count) {
    return peers_make(lock, &this.turn, kind, count, ofd_read, ofd_write, ofd_unlock);
}

static int64_t pthread_pairs(void *lock, enum peers_kind kind, uint64_t count) {
    return peers_make(lock, &this.turn, kind, count, pthread_read, pthread_write, pthread_unlock);
}

static int64_t prwlock_pairs(void *lock, enum peers_kind kind, uint64_t count) {
    int64_t counted = peers_make(lock, &this.turn, kind, count, prwlock_read, prwlock_write, prwlock_leave);
    if (counted < 0) fprintf(stderr, "%s\n", prwlock_last_error()->message);
    return counted;
}

/* ---- Opening ---- */

static int open_file(const char *folder) {
    char path[512];
    if (snprintf(path, sizeof path, "%s/file", folder) >= (int)sizeof path) return ENAMETOOLONG;
    this.file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return this.file < 0 ? errno : 0;
}

/* The participant with index 0 makes it, before the next participant is started. */
static int open_pthread(const char *folder, int index) {
    int error = open_file(folder);
    if (error != 0) return error;
    if (ftruncate(this.file, 4096) != 0) return errno;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, this.file, 0);
    if (memory == MAP_FAILED) return errno;
    this.pthread = memory;
    if (index > 0) return 0;
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    return pthread_rwlock_init(this.pthread, &attributes);
}

static int open_prwlock(const char *name, unsigned flags) {
    prwlock_client *client;
    /* The socket is that of PRWLOCK_SOCKET. */
    if (prwlock_client_open(&client, NULL, flags) == 0 && prwlock_open(&this.prwlock, client, name) == 0) return 0;
    fprintf(stderr, "%s\n", prwlock_last_error()->message);
    return EPROTO;
}

int peers_open(const char *name, const char *folder, int index, struct peers_part *part) {
    int error = peers_turn_open(&this.turn, folder, index);
    if (error != 0) return error;
    if (strcmp(name, "flock") == 0) {
        *part = (struct peers_part){flock_pairs, &this.file};
        return open_file(folder);
    }
    if (strcmp(name, "ofd") == 0) {
        *part = (struct peers_part){ofd_pairs, &this.file};
        return open_file(folder);
    }
    if (strcmp(name, "pthread") == 0) {
        error = open_pthread(folder, index);
        *part = (struct peers_part){pthread_pairs, this.pthread};
        return error;
    }
    if (strcmp(name, "c-cached") == 0 || strcmp(name, "c") == 0) {
        error = open_prwlock(name, strcmp(name, "c") == 0 ? PRWLOCK_NO_CACHE : 0);
        *part = (struct peers_part){prwlock_pairs, this.prwlock};
        return error;
    }
    return -1;
}
