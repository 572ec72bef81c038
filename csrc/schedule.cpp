// How the work of a layer is dealt to threads, whatever its cells compute.
#include "schedule.h"

#include <algorithm>

namespace gatesmith {
namespace {

// Fewer multiplications than this are done sooner by one thread than handed to another.
constexpr double WORTH_A_THREAD = 20'000;
// Likewise within one step, where threads that share its units meet at its end.
constexpr double WORTH_A_MEETING = 10'000;
// Weights of a cell that the cache which all cores share holds, with room for the rest.
constexpr int64_t SHARED_CACHE_FLOATS = (16 << 20) / 4;

// The rows of one of `groups` threads: a block of them, or where lengths differ every groups-th one.
void deal_rows(const Sequences &sequences, int64_t group, int64_t groups, Share *share) {
    int64_t batch = sequences.batch;
    if (sequences.lengths) {
        // Sorted rows are dealt one by one, so that every thread gets long and short sequences.
        share->first_rank = group;
        share->rank_stride = groups;
        share->rows = (batch - group + groups - 1) / groups;
    } else {
        share->first_rank = batch * group / groups;
        share->rank_stride = 1;
        share->rows = batch * (group + 1) / groups - share->first_rank;
    }
}

}  // namespace

Sequences sort_sequences(const gatesmith_run &run, int64_t *rows, int64_t *lengths) {
    Sequences sequences{run.steps, run.steps, run.batch, nullptr, nullptr, run.steps * run.batch};
    if (!run.lengths || std::all_of(run.lengths, run.lengths + run.batch, [&](int64_t n) { return n == run.steps; }))
        return sequences;
    for (int64_t n = 0; n < run.batch; ++n) rows[n] = n;
    std::sort(rows, rows + run.batch, [&](int64_t a, int64_t b) {
        return run.lengths[a] != run.lengths[b] ? run.lengths[a] > run.lengths[b] : a < b;
    });
    sequences.rows = rows;
    sequences.lengths = lengths;
    sequences.valid = 0;
    for (int64_t k = 0; k < run.batch; ++k) sequences.valid += lengths[k] = run.lengths[rows[k]];
    sequences.steps = run.batch ? lengths[0] : 0;
    return sequences;
}

bool should_split_units(int64_t batch, int64_t weights, int64_t members) {
    return batch < target().tile_rows * members || weights > SHARED_CACHE_FLOATS;
}

int useful_threads(const gatesmith_run &run, double step, bool splits_units) {
    double worth = step * run.steps / WORTH_A_THREAD;
    if (splits_units) worth = std::min(worth, step / WORTH_A_MEETING);
    return (int)std::clamp<double>(worth, 1, (double)run.threads);
}

Share share_of(const Sequences &sequences, int64_t panels, bool splits_units, int member, int members, Barrier *barrier) {
    Share share = {};
    deal_rows(sequences, splits_units ? 0 : member, splits_units ? 1 : members, &share);
    share.first_panel = splits_units ? panels * member / members : 0;
    share.last_panel = splits_units ? panels * (member + 1) / members : panels;
    share.member = member;
    share.members = members;
    share.barrier = barrier;
    share.split_units = splits_units;
    return share;
}

gatesmith_run part_of(const gatesmith_run &run, int64_t start, int64_t steps, bool is_first, int64_t *lengths) {
    gatesmith_run part = run;
    part.steps = steps;
    part.x += start * run.x_step;
    part.y += start * run.y_step;
    if (!is_first) part.h0 = run.h_n, part.c0 = run.c_n;
    if (run.lengths) {
        for (int64_t n = 0; n < run.batch; ++n) lengths[n] = std::clamp<int64_t>(run.lengths[n] - start, 0, steps);
        part.lengths = lengths;
    }
    return part;
}

void addition_job(void *context, int index, int count) {
    auto *add = static_cast<Addition *>(context);
    for (int64_t t = add->steps * index / count; t < add->steps * (index + 1) / count; ++t) {
        for (int64_t n = 0; n < add->batch; ++n) {
            float *to = add->to + t * add->step + n * add->row;
            const float *from = add->from + (t * add->batch + n) * add->inputs;
            for (int64_t k = 0; k < add->inputs; ++k) to[k] += from[k];
        }
    }
}

}  // namespace gatesmith
