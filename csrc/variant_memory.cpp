// Where each array of a variant's run lies in its packed weights, tape and workspace.
#include <algorithm>

#include "variant.h"

namespace gatesmith {
namespace {

VariantLayerTape take_layer(Arena &arena, const gatesmith_run &run, int64_t layer) {
    int64_t steps = backward_chunk_steps(run), chunks = ceil_div(run.steps, steps);
    VariantLayerTape tape = {};
    for (int64_t k = 0; k < run.spec.directions; ++k) {
        VariantShape shape = variant_shape(run.spec, layer, k, target().lanes);
        if (run.recompute) {
            tape.checkpoints[k].c = arena.take<float>(chunks, shape.panels(), run.batch, shape.lanes);
            tape.checkpoints[k].h = arena.take<float>(chunks, run.batch, shape.h_stride());
        } else {
            tape.traces[k] = take_trace(arena, shape, run.batch, valid_rows(run), true);
        }
    }
    if (layer + 1 < run.spec.num_layers) {
        int64_t outputs = variant_shape(run.spec, layer, 0, target().lanes).outputs;
        tape.y = arena.take<float>(run.steps, run.batch, run.spec.directions, outputs);
    }
    return tape;
}

bool drops_hidden(const gatesmith_run &run) { return run.noise && run.noise[0].hidden; }

void take_hidden(Arena &arena, const gatesmith_run &run, const VariantShape &shape, float *(&hidden)[2]) {
    for (float *&h : hidden) h = drops_hidden(run) ? arena.take<float>(run.batch, shape.h_stride()) : nullptr;
}

}  // namespace

VariantShape variant_shape(const gatesmith_spec &spec, int64_t layer, int64_t direction, int64_t lanes) {
    int64_t outputs = spec.variant->proj_size ? spec.variant->proj_size : spec.hidden_size;
    int64_t inputs = layer == 0 ? spec.input_size : spec.directions * outputs;
    return {spec.variant, inputs, spec.hidden_size, outputs, lanes, direction};
}

VariantWeights take_weights(Arena &arena, const VariantShape &shape) {
    VariantWeights weights = {};
    weights.gates = arena.take<float>(shape.panels(), shape.features(), shape.block());
    if (shape.options->peepholes) weights.peepholes = arena.take<float>(shape.panels(), 3, shape.lanes);
    for (int64_t gate : {GATE_I, GATE_F, GATE_O})
        if (shape.has_full_peephole(gate))
            weights.full[peephole_index(gate)] = arena.take<float>(shape.panels(), shape.padded(), shape.lanes);
    if (shape.projects()) weights.projection = arena.take<float>(shape.h_blocks(), 1 + shape.padded(), shape.block());
    for (int64_t k = 0; k < (shape.norms_inputs() ? 2 : shape.norms_gates() ? 1 : 0); ++k) {
        weights.gain[k] = arena.take<float>(shape.panels(), shape.block());
        weights.shift[k] = arena.take<float>(shape.panels(), shape.block());
    }
    if (shape.norms()) weights.cell_gain = arena.take<float>(shape.panels(), shape.lanes);
    if (shape.norms()) weights.cell_shift = arena.take<float>(shape.panels(), shape.lanes);
    return weights;
}

VariantTransposed take_transposed(Arena &arena, const VariantShape &shape) {
    VariantTransposed weights = {};
    int64_t lanes = shape.lanes;
    weights.recurrent = arena.take<float>(4 * shape.padded(), round_up(shape.outputs, lanes));
    weights.input = arena.take<float>(4 * shape.padded(), round_up(shape.inputs, lanes));
    for (int64_t gate : {GATE_I, GATE_F, GATE_O})
        if (shape.has_full_peephole(gate))
            weights.full[peephole_index(gate)] = arena.take<float>(shape.panels(), shape.padded(), lanes);
    if (shape.projects()) weights.projection = arena.take<float>(shape.h_blocks(), shape.block(), shape.padded());
    return weights;
}

Trace take_trace(Arena &arena, const VariantShape &shape, int64_t batch, int64_t rows, bool keeps_steps) {
    const gatesmith_variant &options = *shape.options;
    int64_t panels = shape.panels(), lanes = shape.lanes;
    Trace trace = {};
    trace.rows = keeps_steps ? rows : batch;
    trace.state_rows = batch + (keeps_steps ? rows : batch);
    auto units = [&](bool wanted) { return wanted ? arena.take<float>(panels, trace.rows, lanes) : nullptr; };
    auto gates = [&](bool wanted) { return wanted ? arena.take<float>(panels, trace.rows, shape.block()) : nullptr; };
    trace.c = arena.take<float>(panels, trace.state_rows, lanes);
    trace.h = arena.take<float>(trace.state_rows, shape.h_stride());
    trace.gates = gates(keeps_steps || !shape.is_elementwise());
    trace.slopes = gates(keeps_steps && shape.keeps_slopes());
    trace.new_c = units(options.zoneout_c > 0);
    trace.cell_open = units(keeps_steps && options.cell_clip > 0);
    if (keeps_steps && options.proj_clip > 0) trace.h_open = arena.take<float>(trace.rows, shape.h_stride());
    trace.emitted = units(shape.projects());
    trace.units[0] = gates(shape.norms());
    trace.units[1] = gates(shape.norms_inputs());
    trace.cell_unit = units(shape.norms());
    if (shape.norms()) trace.scales = arena.take<float>(trace.rows, NORM_SCALES);
    return trace;
}

FeatureSets feature_sets(const VariantShape &shape, int64_t tile) {
    int64_t seen = round_up(shape.padded(), tile);
    FeatureSets sets = {};
    sets.states = round_up(1 + shape.inputs, tile);
    sets.before = sets.states + round_up(shape.outputs, tile);
    sets.after = sets.before + (shape.has_full_peephole(GATE_I) || shape.has_full_peephole(GATE_F) ? seen : 0);
    sets.emitted = sets.after + (shape.has_full_peephole(GATE_O) ? seen : 0);
    sets.count = sets.emitted + (shape.projects() ? round_up(1 + shape.padded(), tile) : 0);
    return sets;
}

VariantLayerTape variant_layer_tape(const gatesmith_run &run, int64_t layer) {
    Arena arena(run.tape);
    for (int64_t k = 0; k < layer; ++k) take_layer(arena, run, k);
    return take_layer(arena, run, layer);
}

int64_t variant_tape_bytes(const gatesmith_run &run) {
    Arena arena(nullptr);
    for (int64_t k = 0; k < run.spec.num_layers; ++k) take_layer(arena, run, k);
    return arena.bytes();
}

VariantForwardMemory variant_forward_memory(const gatesmith_run &run) {
    Arena arena(run.workspace);
    VariantForwardMemory memory = {};
    memory.rows = arena.take<int64_t>(run.lengths ? run.batch : 0);
    memory.lengths = arena.take<int64_t>(run.lengths ? run.batch : 0);
    // Whose states are reported hangs on the whole run's T.
    memory.chunk_steps = run.spec.variant->drop_states ? run.steps : layered_steps(run);
    memory.chunk_lengths = arena.take<int64_t>(run.lengths && memory.chunk_steps < run.steps ? run.batch : 0);
    for (int64_t k = 0; k < run.spec.directions; ++k) {
        VariantShape shape = variant_shape(run.spec, 0, k, target().lanes);
        memory.scratch_bytes = target().variant_scratch_bytes(shape, run.batch);
        take_hidden(arena, run, shape, memory.hidden[k]);
        if (!run.tape || run.recompute) memory.traces[k] = take_trace(arena, shape, run.batch, 0, false);
    }
    memory.scratch = arena.take<char>(memory.scratch_bytes, run.threads);
    if (!run.tape && run.spec.num_layers > 1) {
        int64_t outputs = variant_shape(run.spec, 0, 0, target().lanes).outputs;
        memory.y = arena.take<float>(memory.chunk_steps, run.batch, run.spec.directions, outputs);
    }
    memory.bytes = arena.bytes();
    return memory;
}

VariantBackwardMemory variant_backward_memory(const gatesmith_run &run) {
    const gatesmith_spec &spec = run.spec;
    Arena arena(run.workspace);
    VariantBackwardMemory memory = {};
    memory.rows = arena.take<int64_t>(run.lengths ? run.batch : 0);
    memory.lengths = arena.take<int64_t>(run.lengths ? run.batch : 0);
    int64_t rows = backward_chunk_steps(run) * run.batch, inputs = 0, outputs = 0;
    for (int64_t k = 0; k < spec.directions; ++k) {
        VariantShape shape = variant_shape(spec, 0, k, target().lanes);
        outputs = shape.outputs;
        inputs = std::max(shape.inputs, spec.num_layers > 1 ? spec.directions * outputs : 0);
        shape.inputs = inputs;  // the widest layer's
        auto gates = [&](bool wanted) { return wanted ? arena.take<float>(shape.panels(), rows, shape.block()) : nullptr; };
        auto units = [&](bool wanted) { return wanted ? arena.take<float>(shape.panels(), rows, shape.lanes) : nullptr; };
        VariantBackward &cell = memory.cells[k];
        cell.chunk_rows = rows;
        cell.dh = arena.take<float>(run.batch, shape.h_stride());
        cell.dc = arena.take<float>(shape.panels(), run.batch, shape.lanes);
        cell.dz = gates(true);
        for (float *&dinputs : cell.dinputs) dinputs = shape.norms_inputs() ? gates(true) : cell.dz;
        cell.dnormed = gates(shape.norms_gates());
        cell.dcell = units(true);
        cell.dcell_normed = units(shape.norms());
        if (shape.projects()) cell.dprojected = arena.take<float>(shape.h_blocks(), rows, shape.block());
        cell.features = arena.take<float>(feature_sets(shape, target().tile_rows).count, rows);
        cell.dweights = take_weights(arena, shape);
        if (!run.recompute) continue;
        take_hidden(arena, run, shape, memory.hidden[k]);
        memory.traces[k] = take_trace(arena, shape, run.batch, rows, true);
        memory.scratch_bytes = target().variant_scratch_bytes(shape, run.batch);
    }
    if (run.recompute) memory.scratch = arena.take<char>(memory.scratch_bytes, run.threads);
    if (spec.directions > 1) memory.dx_reverse = arena.take<float>(run.steps, run.batch, inputs);
    for (int64_t k = 0; k < std::min<int64_t>(2, spec.num_layers - 1); ++k)
        memory.dhidden[k] = arena.take<float>(run.steps, run.batch, spec.directions, outputs);
    memory.bytes = arena.bytes();
    return memory;
}

}  // namespace gatesmith
