// The C interface: lays out memory, deals the work of each layer to threads, and calls the kernels.
#include "gatesmith.h"

#include <algorithm>
#include <cstdlib>

#include "kernel.h"
#include "memory.h"
#include "schedule.h"
#include "variant.h"

namespace gatesmith {
namespace {

// Offset of a cell's packed weights, in floats.
int64_t packed_before(const gatesmith_spec &spec, int64_t cell, bool backward) {
    int64_t floats = 0;
    for (int64_t k = 0; k < cell; ++k) {
        CellShape shape = cell_shape(spec, k / spec.directions, target().lanes);
        floats += backward ? shape.packed_backward() : shape.packed();
    }
    return floats;
}

int64_t packed_bytes(const gatesmith_spec &spec, bool backward) {
    Arena arena(nullptr);
    for (int64_t layer = 0; layer < spec.num_layers; ++layer) {
        CellShape shape = cell_shape(spec, layer, target().lanes);
        for (int64_t k = 0; k < spec.directions; ++k) {
            if (!backward) arena.take<float>(shape.panels(), shape.features(), shape.block());
            else arena.take<float>(shape.padded(), 4, shape.padded() + round_up(shape.inputs, shape.lanes));
        }
    }
    return arena.bytes();
}

bool splits_units(const CellShape &shape, int64_t batch, int64_t members) {
    // Dealt out in whole panels, they must come out about even; backward takes four at a time.
    if (members == 1 || (shape.panels() < 8 * members && shape.panels() % members)) return false;
    if (shape.panels() < members * 4) return batch < members && shape.panels() >= members;
    return should_split_units(batch, shape.packed(), members);
}

int useful_threads(const gatesmith_run &run, int64_t layer) {
    CellShape shape = cell_shape(run.spec, layer, target().lanes);
    double step = (double)shape.packed() * run.batch * run.spec.directions;
    return gatesmith::useful_threads(run, step, splits_units(shape, run.batch, run.threads));
}

Share share_of(const CellForward &cell, int member, int members, Barrier *barrier) {
    bool splits = splits_units(cell.shape, cell.sequences.batch, members);
    return share_of(cell.sequences, cell.shape.panels(), splits, member, members, barrier);
}

struct LayerForward {
    CellForward cells[2];
    int64_t count;
    Barrier barriers[2];
    char *scratch;
    int64_t scratch_bytes;
};

void forward_job(void *context, int index, int count) {
    auto *layer = static_cast<LayerForward *>(context);
    for_cells(layer->count, index, count, [&](int cell, int member, int members) {
        const CellForward &work = layer->cells[cell];
        Share share = share_of(work, member, members, &layer->barriers[cell]);
        share.scratch = layer->scratch + index * layer->scratch_bytes;
        target().forward(work, share);
    });
}

struct LayerBackward {
    CellBackward cells[2];
    int64_t count;
    Barrier barriers[2];
};

void backward_job(void *context, int index, int count) {
    auto *layer = static_cast<LayerBackward *>(context);
    for_cells(layer->count, index, count, [&](int cell, int member, int members) {
        const CellBackward &work = layer->cells[cell];
        target().backward(work, share_of(work.forward, member, members, &layer->barriers[cell]));
    });
}

struct PackJob {
    const gatesmith_spec *spec;
    const gatesmith_cell *cells;
    float *packed;
    bool backward;
};

void pack_job(void *context, int index, int count) {
    auto *job = static_cast<PackJob *>(context);
    float *to = job->packed;
    for (int64_t k = 0; k < job->spec->num_layers * job->spec->directions; ++k) {
        CellShape shape = cell_shape(*job->spec, k / job->spec->directions, target().lanes);
        if (job->backward) {
            target().pack_backward(shape, job->cells[k], to, index, count);
            to += shape.packed_backward();
        } else {
            target().pack(shape, job->cells[k], to, shape.panels() * index / count,
                          shape.panels() * (index + 1) / count);
            to += shape.packed();
        }
    }
}

void pack(const gatesmith_spec *spec, const gatesmith_cell *cells, void *packed, bool backward) {
    PackJob job{spec, cells, static_cast<float *>(packed), backward};
    bool small = cell_shape(*spec, 0, target().lanes).packed() < 1 << 14;
    run_parallel(small ? 1 : num_threads(), pack_job, &job);
}

// A dense array of layer outputs, [T][N][directions * H].
Strided dense(const gatesmith_run &run, float *data) {
    int64_t features = run.spec.directions * run.spec.hidden_size;
    return {data, run.batch * features, features};
}

Strided input_of(const gatesmith_run &run) { return {const_cast<float *>(run.x), run.x_step, run.x_row}; }
Strided output_of(const gatesmith_run &run) { return {run.y, run.y_step, run.y_row}; }

CellForward forward_cell(const gatesmith_run &run, const Sequences &sequences, int64_t layer, int64_t direction,
                         Strided x, Strided y, float *c, float *gates) {
    const gatesmith_spec &spec = run.spec;
    int64_t cell = layer * spec.directions + direction, state = cell * run.batch * spec.hidden_size;
    CellForward work = {};
    work.shape = cell_shape(spec, layer, target().lanes);
    work.sequences = sequences;
    work.reverse = spec.directions == 2 ? direction == 1 : spec.reverse != 0;
    work.packed = static_cast<const float *>(run.packed) + packed_before(spec, cell, false);
    work.x = x.data, work.x_step = x.step, work.x_row = x.row;
    work.y = y.data + direction * spec.hidden_size, work.y_step = y.step, work.y_row = y.row;
    work.h0 = run.h0 + state, work.c0 = run.c0 + state;
    work.h_n = run.h_n + state, work.c_n = run.c_n + state;
    work.h_stride = work.shape.h_stride();
    work.c = c;
    work.c_kept = run.tape != nullptr;
    work.c_rows = run.batch + (run.tape ? sequences.valid : 0);
    work.gates = gates;
    work.skip = run.skip;
    return work;
}

CellBackward backward_cell(const gatesmith_run &run, const CellForward &forward, const BackwardMemory &memory,
                           int64_t layer, int64_t direction, Strided dy, Strided dx) {
    const gatesmith_spec &spec = run.spec;
    int64_t cell = layer * spec.directions + direction, state = cell * run.batch * spec.hidden_size;
    const DirectionMemory &scratch = memory.directions[direction];
    CellBackward work = {};
    work.forward = forward;
    work.packed = static_cast<const float *>(run.packed_backward) + packed_before(spec, cell, true);
    work.dy = dy.data + direction * spec.hidden_size, work.dy_step = dy.step, work.dy_row = dy.row;
    work.dh_n = run.dh_n ? run.dh_n + state : nullptr;
    work.dc_n = run.dc_n ? run.dc_n + state : nullptr;
    work.dx = dx.data, work.dx_step = dx.step, work.dx_row = dx.row;
    work.dh0 = run.dh0 + state, work.dc0 = run.dc0 + state;
    work.gradients = run.gradients[cell];
    work.dc = scratch.dc;
    work.dz[0] = scratch.dz[0], work.dz[1] = scratch.dz[1];
    work.features[0] = scratch.features[0], work.features[1] = scratch.features[1];
    work.chunk_gates = scratch.gates;
    work.dpacked = scratch.dpacked;
    work.chunk_steps = memory.chunk_steps;
    work.chunk_rows = memory.chunk_steps * run.batch;
    return work;
}

// Each layer writes to the tape, or by turns to y and to one other array, so that the last one writes to y.
void run_layers(const gatesmith_run &run, const ForwardMemory &memory) {
    Sequences sequences = sort_sequences(run, memory.rows, memory.lengths);
    Strided x = input_of(run);
    for (int64_t layer = 0; layer < run.spec.num_layers; ++layer) {
        LayerTape tape = run.tape ? layer_tape(run, layer) : LayerTape{{memory.c[0], memory.c[1]}, {}, nullptr};
        int64_t above = run.spec.num_layers - 1 - layer;
        Strided y = above == 0 || (!run.tape && above % 2 == 0) ? output_of(run)
            : dense(run, run.tape ? tape.y : memory.hidden);
        LayerForward work = {};
        work.count = run.spec.directions;
        for (int64_t k = 0; k < work.count; ++k)
            work.cells[k] = forward_cell(run, sequences, layer, k, x, y, tape.c[k], tape.gates[k]);
        for (int64_t k = 0; k < work.count; ++k)
            work.cells[k].h[0] = memory.h[k][0], work.cells[k].h[1] = memory.h[k][1];
        work.scratch = memory.scratch;
        work.scratch_bytes = memory.scratch_bytes;
        run_parallel(useful_threads(run, layer), forward_job, &work);
        x = y;
    }
}

// A chunk of steps through all layers, then the next: what one layer leaves for the next is small and near.
void run_forward(const gatesmith_run &run) {
    ForwardMemory memory = forward_memory(run);
    for_chunks(run, memory.chunk_steps, memory.chunk_lengths,
               [&](const gatesmith_run &part) { run_layers(part, memory); });
}

void run_backward(const gatesmith_run &run) {
    BackwardMemory memory = backward_memory(run);
    Sequences sequences = sort_sequences(run, memory.rows, memory.lengths);
    Strided dy = {const_cast<float *>(run.dy), run.dy_step, run.dy_row};
    for (int64_t layer = run.spec.num_layers - 1; layer >= 0; --layer) {
        bool bottom = layer == 0, top = layer + 1 == run.spec.num_layers;
        LayerTape tape = layer_tape(run, layer);
        Strided x = bottom ? input_of(run) : dense(run, layer_tape(run, layer - 1).y);
        Strided y = top ? output_of(run) : dense(run, tape.y);
        Strided dx = bottom ? Strided{run.dx, run.dx_step, run.dx_row} : dense(run, memory.dhidden[(run.spec.num_layers - 1 - layer) % 2]);
        int64_t inputs = cell_shape(run.spec, layer, 1).inputs;
        LayerBackward work = {};
        work.count = run.spec.directions;
        for (int64_t k = 0; k < work.count; ++k) {
            CellForward forward = forward_cell(run, sequences, layer, k, x, y, tape.c[k], tape.gates[k]);
            Strided part = k == 0 || !dx.data ? dx : Strided{memory.dx_reverse, run.batch * inputs, inputs};
            work.cells[k] = backward_cell(run, forward, memory, layer, k, dy, part);
        }
        run_parallel(useful_threads(run, layer), backward_job, &work);
        if (work.count == 2 && dx.data) {
            Addition sum{dx.data, dx.step, dx.row, memory.dx_reverse, run.steps, run.batch, inputs};
            run_parallel(useful_threads(run, layer), addition_job, &sum);
        }
        dy = dx;
    }
}

bool is_valid(const gatesmith_run &run) {
    const gatesmith_spec &spec = run.spec;
    return spec.input_size > 0 && spec.hidden_size > 0 && spec.num_layers > 0 && spec.directions >= 1 &&
        spec.directions <= 2 && run.steps >= 0 && run.batch >= 0 && run.threads >= 1 &&
        (__int128)run.steps * run.batch < (__int128)1 << 46 && (!spec.variant || is_valid_variant(spec));
}

}  // namespace
}  // namespace gatesmith

using namespace gatesmith;

int64_t gatesmith_packed_bytes(const gatesmith_spec *spec) {
    return spec->variant ? variant_packed_bytes(*spec, false) : packed_bytes(*spec, false);
}

int64_t gatesmith_packed_backward_bytes(const gatesmith_spec *spec) {
    return spec->variant ? variant_packed_bytes(*spec, true) : packed_bytes(*spec, true);
}

int gatesmith_pack(const gatesmith_spec *spec, const gatesmith_cell *cells, void *packed) {
    spec->variant ? variant_pack(*spec, cells, packed, false) : pack(spec, cells, packed, false);
    return GATESMITH_OK;
}

int gatesmith_pack_backward(const gatesmith_spec *spec, const gatesmith_cell *cells, void *packed) {
    spec->variant ? variant_pack(*spec, cells, packed, true) : pack(spec, cells, packed, true);
    return GATESMITH_OK;
}

int64_t gatesmith_workspace_bytes(const gatesmith_run *run, int backward) {
    if (!is_valid(*run)) return -1;
    gatesmith_run measured = *run;
    measured.workspace = nullptr;
    if (run->spec.variant)
        return backward ? variant_backward_memory(measured).bytes : variant_forward_memory(measured).bytes;
    return backward ? backward_memory(measured).bytes : forward_memory(measured).bytes;
}

int64_t gatesmith_tape_bytes(const gatesmith_run *run) {
    if (!is_valid(*run)) return -1;
    gatesmith_run measured = *run;
    measured.tape = nullptr;
    return run->spec.variant ? variant_tape_bytes(measured) : tape_bytes(measured);
}

int gatesmith_forward(const gatesmith_run *run) {
    if (!is_valid(*run)) return GATESMITH_BAD_ARGUMENT;
    run->spec.variant ? variant_run_forward(*run) : run_forward(*run);
    return GATESMITH_OK;
}

int gatesmith_backward(const gatesmith_run *run) {
    if (!is_valid(*run)) return GATESMITH_BAD_ARGUMENT;
    run->spec.variant ? variant_run_backward(*run) : run_backward(*run);
    return GATESMITH_OK;
}

void gatesmith_set_num_threads(int threads) { set_num_threads(threads); }

int gatesmith_num_threads(void) { return num_threads(); }

void gatesmith_sigmoid(const float *x, float *y, int64_t count) { target().sigmoid(x, y, count); }

void gatesmith_tanh(const float *x, float *y, int64_t count) { target().tanh(x, y, count); }
