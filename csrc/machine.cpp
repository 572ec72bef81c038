// Measures the limits of this machine with all threads of the pool at once.
#include <vector>

#include "kernel.h"

namespace gatesmith {
namespace {

struct Measurement {
    int64_t bytes;
    std::vector<double> results;
};

void flops_job(void *context, int index, int) {
    static_cast<Measurement *>(context)->results[index] = target().measure_flops();
}

void bandwidth_job(void *context, int index, int) {
    auto *measurement = static_cast<Measurement *>(context);
    std::vector<float> memory(measurement->bytes / sizeof(float), 1.0f);
    measurement->results[index] = target().measure_bandwidth(memory.data(), (int64_t)memory.size());
}

double measure(int threads, int64_t bytes, Job job) {
    Measurement measurement{bytes, std::vector<double>(threads, 0.0)};
    run_parallel(threads, job, &measurement);
    double sum = 0;
    for (double result : measurement.results) sum += result;
    return sum;
}

}  // namespace
}  // namespace gatesmith

extern "C" double gatesmith_measure_flops(int threads) {
    return gatesmith::measure(threads, 0, gatesmith::flops_job);
}

extern "C" double gatesmith_measure_bandwidth(int threads, int64_t bytes) {
    return gatesmith::measure(threads, bytes, gatesmith::bandwidth_job);
}
