// The header in C++11: a guard that releases its lock at the end of a block.
#include <cstdio>
#include <prwlock.h>
#include <stdexcept>

class WriteGuard {
public:
    explicit WriteGuard(prwlock_lock *lock) : lock_(lock) {
        if (prwlock_write_lock(lock, &grant_) != 0) throw std::runtime_error(prwlock_last_error()->message);
    }
    ~WriteGuard() { prwlock_unlock(lock_); }
    WriteGuard(const WriteGuard &) = delete;
    WriteGuard &operator=(const WriteGuard &) = delete;
    uint64_t token() const { return grant_.token; }

private:
    prwlock_lock *lock_;
    prwlock_grant grant_{};
};

int main() {
    prwlock_lock *lock = nullptr;
    if (prwlock_open(&lock, nullptr, "c++") != 0) return 1;
    uint64_t former = 0;
    for (int i = 0; i < 5; i++) {
        WriteGuard guard(lock);
        if (guard.token() < former) return 1;
        former = guard.token();
        if (prwlock_try_write_lock(lock, nullptr) != PRWLOCK_DEADLOCK) return 1;
    }
    try {
        WriteGuard first(lock);
        WriteGuard second(lock);
        return 1;
    } catch (const std::runtime_error &error) {
        std::printf("  as expected: %s\n", error.what());
    }
    if (prwlock_unlock(lock) != PRWLOCK_NOT_HELD) return 1;
    prwlock_close(lock);
    return 0;
}
