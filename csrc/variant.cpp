// Runs variants of the cell: lays out memory, deals the work of each layer to threads, and calls their kernels.
#include "variant.h"

#include <algorithm>

#include "schedule.h"

namespace gatesmith {
namespace {

// Panels that each thread has at least where threads share the units: products take four at a time.
constexpr int64_t PANELS_EACH = 4;

int64_t weights_of(const VariantShape &shape) {
    return 4 * shape.padded() * shape.features() + (shape.projects() ? shape.padded() * shape.outputs : 0);
}

// Whether the threads of a cell share its units, and meet at every step, rather than its rows.
bool splits_units(const VariantShape &shape, int64_t batch, int64_t members) {
    if (members == 1 || !shape.is_elementwise() || shape.panels() < PANELS_EACH * members) return false;
    return should_split_units(batch, weights_of(shape), members);
}

int useful_threads(const gatesmith_run &run, const VariantShape &shape) {
    double step = (double)weights_of(shape) * run.batch * run.spec.directions;
    return gatesmith::useful_threads(run, step, splits_units(shape, run.batch, run.threads));
}

Share share_of(const VariantForward &cell, int member, int members, Barrier *barrier) {
    bool splits = splits_units(cell.shape, cell.sequences.batch, members);
    return share_of(cell.sequences, cell.shape.panels(), splits, member, members, barrier);
}

struct LayerForward {
    VariantForward cells[2];
    int64_t count;
    Barrier barriers[2];
    char *scratch;
    int64_t scratch_bytes;
};

void forward_job(void *context, int index, int count) {
    auto *layer = static_cast<LayerForward *>(context);
    for_cells(layer->count, index, count, [&](int cell, int member, int members) {
        const VariantForward &work = layer->cells[cell];
        Share share = share_of(work, member, members, &layer->barriers[cell]);
        share.scratch = layer->scratch + index * layer->scratch_bytes;
        target().variant_forward(work, share);
    });
}

struct LayerBackward {
    VariantBackward cells[2];
    int64_t count;
    Barrier barriers[2];
    char *scratch;
    int64_t scratch_bytes;
};

void backward_job(void *context, int index, int count) {
    auto *layer = static_cast<LayerBackward *>(context);
    for_cells(layer->count, index, count, [&](int cell, int member, int members) {
        const VariantForward &work = layer->cells[cell].forward;
        Share share = share_of(work, member, members, &layer->barriers[cell]);
        share.scratch = layer->scratch + index * layer->scratch_bytes;
        target().variant_backward(layer->cells[cell], share);
    });
}

struct PackJob {
    const gatesmith_spec *spec;
    const gatesmith_cell *cells;
    void *packed;
    bool backward;
};

void pack_job(void *context, int index, int count) {
    auto *job = static_cast<PackJob *>(context);
    Arena arena(job->packed);
    for (int64_t k = 0; k < job->spec->num_layers * job->spec->directions; ++k) {
        VariantShape shape = variant_shape(*job->spec, k / job->spec->directions, k % job->spec->directions,
                                           target().lanes);
        if (job->backward) {
            target().variant_pack_transposed(shape, job->cells[k], take_transposed(arena, shape), index, count);
        } else {
            target().variant_pack(shape, job->cells[k], take_weights(arena, shape), index, count);
        }
    }
}

// The packed weights of one cell. Packed arrays are only read in a run.
template <class Weights>
Weights weights_at(const gatesmith_spec &spec, const void *packed, int64_t cell,
                   Weights (*take)(Arena &, const VariantShape &)) {
    Arena arena(const_cast<void *>(packed));
    for (int64_t k = 0; k < cell; ++k)
        take(arena, variant_shape(spec, k / spec.directions, k % spec.directions, target().lanes));
    return take(arena, variant_shape(spec, cell / spec.directions, cell % spec.directions, target().lanes));
}

Strided dense(const gatesmith_run &run, float *data) {
    int64_t features = run.spec.directions * variant_shape(run.spec, 0, 0, target().lanes).outputs;
    return {data, run.batch * features, features};
}

// Of an array that may be null.
template <class T>
T *offset(T *array, int64_t elements) {
    return array ? array + elements : nullptr;
}

VariantForward forward_cell(const gatesmith_run &run, const Sequences &sequences, int64_t layer, int64_t direction,
                            Strided x, Strided y) {
    const gatesmith_spec &spec = run.spec;
    VariantForward work = {};
    work.shape = variant_shape(spec, layer, direction, target().lanes);
    int64_t cell = layer * spec.directions + direction, outputs = work.shape.outputs;
    int64_t h = cell * run.batch * outputs, c = cell * run.batch * spec.hidden_size;
    work.sequences = sequences;
    work.reverse = spec.directions == 2 ? direction == 1 : spec.reverse != 0;
    work.weights = weights_at(spec, run.packed, cell, take_weights);
    work.x = x.data, work.x_step = x.step, work.x_row = x.row;
    work.y = y.data + direction * outputs, work.y_step = y.step, work.y_row = y.row;
    if (spec.variant->residual && layer > 0) work.residual = x.data + direction * outputs;
    if (run.dropout && layer + 1 < spec.num_layers) work.dropout = run.dropout[layer] + direction * outputs;
    work.dropout_row = spec.directions * outputs;
    work.h0 = run.h0 + h, work.c0 = run.c0 + c;
    work.h_n = offset(run.h_n, h), work.c_n = offset(run.c_n, c);
    if (run.noise) work.noise = run.noise[cell];
    work.chunk_steps = backward_chunk_steps(run);
    work.skip = run.skip;
    return work;
}

// dy of a layer below the last times the factors of its dropout, and dx plus what a residual connection passes on.
struct Passing {
    Strided dy, dx;
    const float *dropout;  // or null
    bool residual;
    const int64_t *lengths;
    int64_t steps, batch, features;
};

void dropout_job(void *context, int index, int count) {
    auto *pass = static_cast<Passing *>(context);
    for (int64_t t = pass->steps * index / count; t < pass->steps * (index + 1) / count; ++t)
        for (int64_t n = 0; n < pass->batch; ++n)
            for (int64_t k = 0; k < pass->features; ++k)
                pass->dy.data[t * pass->dy.step + n * pass->dy.row + k] *=
                    pass->dropout[(t * pass->batch + n) * pass->features + k];
}

void residual_job(void *context, int index, int count) {
    auto *pass = static_cast<Passing *>(context);
    for (int64_t t = pass->steps * index / count; t < pass->steps * (index + 1) / count; ++t)
        for (int64_t n = 0; n < pass->batch; ++n)
            for (int64_t k = 0; k < pass->features && (!pass->lengths || t < pass->lengths[n]); ++k)
                pass->dx.data[t * pass->dx.step + n * pass->dx.row + k] +=
                    pass->dy.data[t * pass->dy.step + n * pass->dy.row + k];
}

// As for the plain cell: layers write to the tape, or by turns to y and to one other array.
void run_layers(const gatesmith_run &run, const VariantForwardMemory &memory) {
    Sequences sequences = sort_sequences(run, memory.rows, memory.lengths);
    Strided x = {const_cast<float *>(run.x), run.x_step, run.x_row};
    for (int64_t layer = 0; layer < run.spec.num_layers; ++layer) {
        VariantLayerTape tape = run.tape ? variant_layer_tape(run, layer) : VariantLayerTape{};
        int64_t above = run.spec.num_layers - 1 - layer;
        Strided y = above == 0 || (!run.tape && above % 2 == 0) ? Strided{run.y, run.y_step, run.y_row}
            : dense(run, run.tape ? tape.y : memory.y);
        LayerForward work = {};
        work.count = run.spec.directions;
        for (int64_t k = 0; k < work.count; ++k) {
            VariantForward &cell = work.cells[k] = forward_cell(run, sequences, layer, k, x, y);
            cell.keeps_steps = run.tape && !run.recompute;
            cell.trace = cell.keeps_steps ? tape.traces[k] : memory.traces[k];
            cell.checkpoints = tape.checkpoints[k];
            std::copy_n(memory.hidden[k], 2, cell.hidden);
        }
        work.scratch = memory.scratch;
        work.scratch_bytes = memory.scratch_bytes;
        run_parallel(useful_threads(run, work.cells[0].shape), forward_job, &work);
        x = y;
    }
}

}  // namespace

int64_t variant_packed_bytes(const gatesmith_spec &spec, bool backward) {
    Arena arena(nullptr);
    for (int64_t layer = 0; layer < spec.num_layers; ++layer) {
        for (int64_t k = 0; k < spec.directions; ++k) {
            VariantShape shape = variant_shape(spec, layer, k, target().lanes);
            backward ? void(take_transposed(arena, shape)) : void(take_weights(arena, shape));
        }
    }
    return arena.bytes();
}

void variant_pack(const gatesmith_spec &spec, const gatesmith_cell *cells, void *packed, bool backward) {
    PackJob job{&spec, cells, packed, backward};
    bool small = weights_of(variant_shape(spec, 0, 0, target().lanes)) < 1 << 14;
    run_parallel(small ? 1 : num_threads(), pack_job, &job);
}

void variant_run_forward(const gatesmith_run &run) {
    VariantForwardMemory memory = variant_forward_memory(run);
    for_chunks(run, memory.chunk_steps, memory.chunk_lengths,
               [&](const gatesmith_run &part) { run_layers(part, memory); });
}

void variant_run_backward(const gatesmith_run &run) {
    const gatesmith_spec &spec = run.spec;
    VariantBackwardMemory memory = variant_backward_memory(run);
    Sequences sequences = sort_sequences(run, memory.rows, memory.lengths);
    Strided dy = {const_cast<float *>(run.dy), run.dy_step, run.dy_row};
    for (int64_t layer = spec.num_layers - 1; layer >= 0; --layer) {
        bool bottom = layer == 0, top = layer + 1 == spec.num_layers;
        VariantLayerTape tape = variant_layer_tape(run, layer);
        Strided x = bottom ? Strided{const_cast<float *>(run.x), run.x_step, run.x_row}
                           : dense(run, variant_layer_tape(run, layer - 1).y);
        Strided y = top ? Strided{run.y, run.y_step, run.y_row} : dense(run, tape.y);
        Strided dx = bottom ? Strided{run.dx, run.dx_step, run.dx_row}
                            : dense(run, memory.dhidden[(spec.num_layers - 1 - layer) % 2]);
        VariantShape shape = variant_shape(spec, layer, 0, target().lanes);
        int threads = useful_threads(run, shape);
        Passing passing{dy, dx, nullptr, spec.variant->residual && !bottom, run.lengths, run.steps, run.batch,
                        spec.directions * shape.outputs};
        if (run.dropout && !top) {
            passing.dropout = run.dropout[layer];
            run_parallel(threads, dropout_job, &passing);
        }
        LayerBackward work = {};
        work.count = spec.directions;
        work.scratch = memory.scratch;
        work.scratch_bytes = memory.scratch_bytes;
        for (int64_t k = 0; k < work.count; ++k) {
            int64_t cell = layer * spec.directions + k, outputs = cell * run.batch * shape.outputs;
            int64_t state = cell * run.batch * spec.hidden_size;
            VariantBackward &back = work.cells[k] = memory.cells[k];
            back.forward = forward_cell(run, sequences, layer, k, x, y);
            back.recomputes = run.recompute;
            back.forward.keeps_steps = true;
            back.forward.trace = run.recompute ? memory.traces[k] : tape.traces[k];
            back.forward.checkpoints = tape.checkpoints[k];
            std::copy_n(memory.hidden[k], 2, back.forward.hidden);
            back.weights = weights_at(spec, run.packed_backward, cell, take_transposed);
            Strided part = k == 0 || !dx.data ? dx : Strided{memory.dx_reverse, run.batch * shape.inputs, shape.inputs};
            back.dx = part.data, back.dx_step = part.step, back.dx_row = part.row;
            back.dy = dy.data + k * shape.outputs, back.dy_step = dy.step, back.dy_row = dy.row;
            back.dh_n = offset(run.dh_n, outputs);
            back.dc_n = offset(run.dc_n, state);
            back.dh0 = run.dh0 + outputs, back.dc0 = run.dc0 + state;
            back.gradients = run.gradients[cell];
        }
        run_parallel(threads, backward_job, &work);
        if (work.count == 2 && dx.data) {
            Addition sum{dx.data, dx.step, dx.row, memory.dx_reverse, run.steps, run.batch, shape.inputs};
            run_parallel(threads, addition_job, &sum);
        }
        if (passing.residual) run_parallel(threads, residual_job, &passing);
        dy = dx;
    }
}

bool is_valid_variant(const gatesmith_spec &spec) {
    const gatesmith_variant &options = *spec.variant;
    constexpr int64_t SEEING = GATESMITH_GATE_I | GATESMITH_GATE_F | GATESMITH_GATE_O;
    bool known = true;
    for (const auto &direction : options.activations)
        for (const gatesmith_activation &activation : direction)
            known = known && activation.function >= GATESMITH_SIGMOID && activation.function <= GATESMITH_SOFTPLUS;
    return known && options.proj_size >= 0 && options.proj_size < spec.hidden_size && !(options.peepholes & ~SEEING) &&
        !(options.full_peepholes & ~SEEING) && !(options.peepholes & options.full_peepholes) &&
        options.derived_gate >= 0 && options.derived_gate <= GATESMITH_GATE_F && options.layer_norm >= 0 &&
        options.layer_norm <= GATESMITH_NORM_INPUTS_AND_CELL;
}

}  // namespace gatesmith
