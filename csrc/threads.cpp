// A pool of worker threads that spin briefly for the next call, then sleep; a forked child makes its own.
#include "threads.h"

#include "gatesmith.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <mutex>
#include <new>

namespace gatesmith {
namespace {

constexpr int MAX_THREADS = 256;
constexpr int SPINS_BEFORE_YIELD = 4000;
constexpr int SPINS_BEFORE_SLEEP = 4000;  // about 60 us: longer than the gap between two steps of a busy stream

// A call is crowded that waits longer than this and two thirds of its time: a core is another process's meanwhile.
// Where crowded calls wait for more than a quarter of all time, and this much, the next ones run on their caller's
// thread for some times as long, before they try again.
constexpr double CROWDED_SECONDS = 0.5e-3;
constexpr double MOST_LOST_SECONDS = 10e-3;
constexpr double TIMES_ALONE = 20;

double now() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// Spins while `waits()`, and then lets others have the core; returns for how long it did.
template <class F>
double spin(const F &waits) {
    int spins = 0;
    for (; spins < SPINS_BEFORE_YIELD; ++spins, pause())
        if (!waits()) return 0;
    double start = now();
    while (waits()) sched_yield();
    return now() - start;
}

thread_local double waited = 0;  // seconds of this call

struct Pool {
    std::mutex busy;  // held by the call that uses the workers
    std::atomic<uint32_t> ticket{0};
    std::atomic<int> unfinished{0};
    Job job = nullptr;
    void *context = nullptr;
    int count = 0;  // threads of the current job, the caller's included
    int workers = 0;
    double lost = 0;    // seconds that crowded calls waited, less a quarter of the time since
    double judged = 0;  // when that was
    double alone_until = 0;

    void judge(double start) {
        double end = now(), share = 0.25 * (end - judged);
        lost = lost > share ? lost - share : 0;
        if (waited > CROWDED_SECONDS && 3 * waited > 2 * (end - start)) lost += waited;
        judged = end;
        if (lost < MOST_LOST_SECONDS) return;
        alone_until = judged = end + TIMES_ALONE * (end - start);
        lost = MOST_LOST_SECONDS / 2;  // little more is enough to tell that nothing has changed
    }
};

struct Start {
    Pool *pool;
    int index;
    uint32_t seen;
};

// Never destroyed: its workers may outlive every static object.
alignas(Pool) unsigned char storage[sizeof(Pool)];
Pool *pool = new (storage) Pool;
Start starts[MAX_THREADS];
std::atomic<int> chosen_threads{0};

// An OpenMP runtime's threads, where it was lent to us.
struct OpenMp {
    gatesmith_parallel parallel;
    int (*thread_num)();
    int (*num_threads)();
};
OpenMp openmp_storage;
std::atomic<const OpenMp *> openmp{nullptr};

struct OpenMpJob {
    const OpenMp *runtime;
    Job job;
    void *context;
    double *own_end;  // when the caller's share of the job was done
};

void run_in_openmp(void *data) {
    auto [runtime, job, context, own_end] = *static_cast<OpenMpJob *>(data);
    int index = runtime->thread_num();
    job(context, index, runtime->num_threads());
    if (index == 0) *own_end = now();
}

void *work(void *argument) {
    auto [p, index, seen] = *static_cast<Start *>(argument);
    for (;;) {
        for (int spins = 0; p->ticket.load(std::memory_order_acquire) == seen; ++spins) {
            if (spins < SPINS_BEFORE_SLEEP) {
                pause();
            } else {
                p->ticket.wait(seen, std::memory_order_acquire);
            }
        }
        ++seen;
        if (index < p->count) p->job(p->context, index, p->count);
        // Every worker reports for every job, so that none can still be reading the fields when the next one is set.
        p->unfinished.fetch_sub(1, std::memory_order_release);
    }
    return nullptr;
}

// Starts workers until there are `workers`, as far as the system allows. They take no signals: those are the caller's.
void grow(Pool *p, int workers) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (p->workers < workers) {
        starts[p->workers] = {p, p->workers + 1, p->ticket.load()};
        pthread_t thread;
        if (pthread_create(&thread, &detached, work, &starts[p->workers]) != 0) break;
        ++p->workers;
    }
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The parent's workers don't exist in a forked child, and its lock may be held by a thread that doesn't either.
// Nor do those of OpenMP, which would wait for them.
void forget_workers() {
    pool = new (storage) Pool;
    openmp.store(nullptr);
}

[[maybe_unused]] const int watch_forks = pthread_atfork(nullptr, nullptr, forget_workers);

void run_on_workers(Pool *p, int count, Job job, void *context) {
    if (p->workers < count - 1) grow(p, count - 1);
    p->job = job;
    p->context = context;
    p->count = count <= p->workers + 1 ? count : p->workers + 1;
    p->unfinished.store(p->workers, std::memory_order_relaxed);
    p->ticket.fetch_add(1, std::memory_order_release);
    p->ticket.notify_all();
    job(context, 0, p->count);
    waited += spin([p] { return p->unfinished.load(std::memory_order_acquire) != 0; });
}

// What the user asked for, by our own name or by the one that a launcher of several processes sets for each of them.
int default_threads() {
    for (const char *name : {"GATESMITH_NUM_THREADS", "OMP_NUM_THREADS"}) {
        const char *text = std::getenv(name);
        int given = text ? std::atoi(text) : 0;
        if (given > 0) return given;
    }
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

void set_num_threads(int threads) {
    chosen_threads.store(threads < 1 ? 1 : threads < MAX_THREADS ? threads : MAX_THREADS);
}

int num_threads() {
    if (chosen_threads.load(std::memory_order_relaxed) == 0) set_num_threads(default_threads());
    return chosen_threads.load(std::memory_order_relaxed);
}

void run_parallel(int wanted, Job job, void *context) {
    int count = wanted < num_threads() ? wanted : num_threads();
    if (count <= 1 || !pool->busy.try_lock()) return job(context, 0, 1);
    Pool *p = pool;
    double start = now();
    if (start < p->alone_until) {
        p->busy.unlock();
        return job(context, 0, 1);
    }
    waited = 0;
    if (const OpenMp *runtime = openmp.load(std::memory_order_acquire)) {
        double own_end = 0;
        OpenMpJob data{runtime, job, context, &own_end};
        runtime->parallel(run_in_openmp, &data, (unsigned)count, 0);
        waited += now() - own_end;
    } else {
        run_on_workers(p, count, job, context);
    }
    p->judge(start);
    p->busy.unlock();
}

void Barrier::spin_while(uint32_t phase) {
    waited += spin([&] { return phase_.load(std::memory_order_acquire) == phase; });
}

}  // namespace gatesmith

void gatesmith_use_openmp(gatesmith_parallel parallel, int (*thread_num)(void), int (*num_threads)(void)) {
    using namespace gatesmith;
    std::lock_guard<std::mutex> no_call_runs(pool->busy);
    openmp_storage = {parallel, thread_num, num_threads};
    openmp.store(parallel ? &openmp_storage : nullptr, std::memory_order_release);
}
