#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "CBench.h"

int bench_flock_round_trips(const char *path, int64_t duration, struct bench_histogram *histogram) {
    int files[2] = {
        open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600),
        open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600),
    };
    int error = files[0] < 0 || files[1] < 0 ? errno : 0;
    int64_t now = bench_now();
    int64_t end = now + duration;
    for (unsigned turn = 0; error == 0 && now < end; turn += 1) {
        int file = files[turn / 2 % 2];
        if (flock(file, turn % 2 == 0 ? LOCK_EX : LOCK_UN) != 0) error = errno;
        int64_t after = bench_now();
        bench_histogram_record(histogram, after - now);
        now = after;
    }
    for (int index = 0; index < 2; index += 1) {
        if (files[index] >= 0) close(files[index]);
    }
    return error;
}
