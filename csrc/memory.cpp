// Where each array of a run lies in its tape and workspace.
#include "memory.h"

#include <algorithm>

namespace gatesmith {
namespace {

// Rows of dz that one product over a chunk of steps takes: enough that the weights' gradients, which are read and
// written once for each chunk, cost little beside it.
constexpr int64_t CHUNK_ROWS = 512;

// The layer that reads most.
CellShape widest_shape(const gatesmith_spec &spec) {
    CellShape shape = cell_shape(spec, 0, target().lanes);
    if (spec.num_layers > 1) shape.inputs = std::max(shape.inputs, cell_shape(spec, 1, target().lanes).inputs);
    return shape;
}

LayerTape take_layer(Arena &arena, const gatesmith_run &run, int64_t layer) {
    CellShape shape = cell_shape(run.spec, layer, target().lanes);
    int64_t valid = valid_rows(run);
    LayerTape tape = {};
    for (int64_t direction = 0; direction < run.spec.directions; ++direction) {
        tape.c[direction] = arena.take<float>(shape.panels(), run.batch + valid, shape.lanes);
        if (!run.recompute) tape.gates[direction] = arena.take<float>(shape.panels(), valid, shape.block());
    }
    if (layer + 1 < run.spec.num_layers)
        tape.y = arena.take<float>(run.steps, run.batch, run.spec.directions, run.spec.hidden_size);
    return tape;
}

}  // namespace

int64_t backward_chunk_steps(const gatesmith_run &run) {
    int64_t steps = CHUNK_ROWS / std::max<int64_t>(1, run.batch);
    return std::clamp<int64_t>(steps, 1, std::max<int64_t>(1, run.steps));
}

// A reverse direction beside a forward one needs all of the layer below; noise is of a whole run.
int64_t layered_steps(const gatesmith_run &run) {
    if (run.tape || run.noise || run.spec.num_layers == 1 || run.spec.directions == 2) return run.steps;
    return std::min(run.steps, std::max<int64_t>(16, CHUNK_ROWS / std::max<int64_t>(1, run.batch)));
}

int64_t valid_rows(const gatesmith_run &run) {
    if (!run.lengths) return run.steps * run.batch;
    int64_t rows = 0;
    for (int64_t n = 0; n < run.batch; ++n) rows += run.lengths[n];
    return rows;
}

LayerTape layer_tape(const gatesmith_run &run, int64_t layer) {
    Arena arena(run.tape);
    for (int64_t k = 0; k < layer; ++k) take_layer(arena, run, k);
    return take_layer(arena, run, layer);
}

int64_t tape_bytes(const gatesmith_run &run) {
    Arena arena(nullptr);
    for (int64_t k = 0; k < run.spec.num_layers; ++k) take_layer(arena, run, k);
    return arena.bytes();
}

ForwardMemory forward_memory(const gatesmith_run &run) {
    const gatesmith_spec &spec = run.spec;
    CellShape shape = widest_shape(spec);
    Arena arena(run.workspace);
    ForwardMemory memory = {};
    memory.rows = arena.take<int64_t>(run.lengths ? run.batch : 0);
    memory.lengths = arena.take<int64_t>(run.lengths ? run.batch : 0);
    memory.chunk_steps = layered_steps(run);
    memory.chunk_lengths = arena.take<int64_t>(run.lengths && memory.chunk_steps < run.steps ? run.batch : 0);
    memory.scratch_bytes = target().forward_scratch_bytes(shape, run.batch);
    memory.scratch = arena.take<char>(memory.scratch_bytes, run.threads);
    for (int64_t direction = 0; direction < spec.directions; ++direction)
        for (float *&h : memory.h[direction]) h = arena.take<float>(run.batch, shape.h_stride());
    if (!run.tape) {
        for (int64_t direction = 0; direction < spec.directions; ++direction)
            memory.c[direction] = arena.take<float>(shape.panels(), run.batch, shape.lanes);
        if (spec.num_layers > 1)
            memory.hidden = arena.take<float>(memory.chunk_steps, run.batch, spec.directions, spec.hidden_size);
    }
    memory.bytes = arena.bytes();
    return memory;
}

BackwardMemory backward_memory(const gatesmith_run &run) {
    const gatesmith_spec &spec = run.spec;
    Arena arena(run.workspace);
    BackwardMemory memory = {};
    memory.rows = arena.take<int64_t>(run.lengths ? run.batch : 0);
    memory.lengths = arena.take<int64_t>(run.lengths ? run.batch : 0);
    memory.chunk_steps = backward_chunk_steps(run);
    int64_t rows = memory.chunk_steps * run.batch, tile = target().tile_rows;
    CellShape shape = widest_shape(spec);
    for (int64_t k = 0; k < spec.directions; ++k) {
        DirectionMemory &direction = memory.directions[k];
        direction.dc = arena.take<float>(shape.panels(), run.batch, shape.lanes);
        for (float *&dz : direction.dz) dz = arena.take<float>(shape.panels(), rows, shape.block());
        for (float *&features : direction.features)
            features = arena.take<float>(ceil_div(shape.features(), tile), rows, tile);
        if (run.recompute) direction.gates = arena.take<float>(shape.panels(), rows, shape.block());
        direction.dpacked = arena.take<float>(shape.panels(), shape.features(), shape.block());
    }
    if (spec.directions > 1) memory.dx_reverse = arena.take<float>(run.steps, run.batch, shape.inputs);
    for (int64_t k = 0; k < std::min<int64_t>(2, spec.num_layers - 1); ++k)
        memory.dhidden[k] = arena.take<float>(run.steps, run.batch, spec.directions, spec.hidden_size);
    memory.bytes = arena.bytes();
    return memory;
}

}  // namespace gatesmith
