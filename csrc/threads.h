// The pool of threads that all calls share, and the barrier between the threads of one call.
#pragma once

#include <atomic>
#include <cstdint>

namespace gatesmith {

// Runs job(context, index, count) for index 0 .. count - 1, one of them on the caller's thread, and returns when all
// have. `count` is at most `wanted` and at most num_threads(); it is 1 where another call holds the pool, and for a while
// after calls that mostly waited for threads whose core another process had. Results must not depend on it.
using Job = void (*)(void *context, int index, int count);
void run_parallel(int wanted, Job job, void *context);

void set_num_threads(int threads);
int num_threads();

// Tells the processor that this is a waiting loop.
void pause();

// All `count` threads of a team meet here; spins, since a step of the recurrence is shorter than a switch of threads.
class Barrier {
public:
    void arrive_and_wait(int count) { wait(arrive(count)); }

    // What a thread hands to `wait` when it has done what needs nothing of the others.
    uint32_t arrive(int count) {
        uint32_t phase = phase_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
            arrived_.store(0, std::memory_order_relaxed);
            phase_.store(phase + 1, std::memory_order_release);
        }
        return phase;
    }

    void wait(uint32_t phase) {
        if (phase_.load(std::memory_order_acquire) == phase) spin_while(phase);
    }

private:
    void spin_while(uint32_t phase);

    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<uint32_t> phase_{0};
};

}  // namespace gatesmith
