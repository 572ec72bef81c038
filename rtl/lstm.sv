// One LSTM layer in one direction as a stream: x in, h out, sequences of any length, states in and out.
//
// Golden model: docs/fixed-point.md. Data sheet: README.md beside this file, with the cycle formula.
// Throughput: ceil(4H(D + H) / P) clocks per step, where the latency of a step hides behind its D columns of x.
`default_nettype none
module lstm #(
  parameter int InputSize = 32,    // D
  parameter int HiddenSize = 64,   // H
  parameter int Multipliers = 16,  // P
  parameter int XWidth = 16,
  parameter int XShift = 0,
  parameter int HWidth = 16,
  parameter int HShift = 0,
  parameter int HFrac = 15,
  parameter int WeightWidth = 8,
  parameter int BiasWidth = 24,
  parameter int AccWidth = 32,
  parameter int AccFrac = 22,
  parameter int ZWidth = 16,
  parameter int ZFrac = 12,
  parameter int ActWidth = 18,
  parameter int ActFrac = 16,
  parameter int CellWidth = 18,
  parameter int CellFrac = 14,
  parameter int TableBits = 8,
  parameter int SlopeWidth = 16,
  parameter WeightFile = "",
  parameter BiasFile = "",
  parameter SigmoidFile = "",
  parameter TanhFile = "",
  parameter OutputFile = "",
  parameter int Peepholes = 0,    // gates that see c: 1 for i, 2 for f, 4 for o, added up
  parameter int PeepholeWidth = 8,
  parameter int PeepholeFrac = 6,
  parameter PeepholeFile = "",
  parameter bit GateClip = 1'b0,  // the tables clip the pre-activations, so that their saturation is no event
  parameter int CellClip = 0,     // bound on the magnitude of c, as a code; 0 for none
  parameter int ProjSize = 0,     // R, elements of the projection of h; 0 for none
  parameter int ProjMultipliers = 1,  // its products per clock; at most R
  parameter int ProjWidth = 16,   // of the projection, as HWidth is of h; HShift aligns its products then
  parameter int ProjFrac = 15,
  parameter int ProjWeightWidth = 8,
  parameter int ProjBiasWidth = 24,
  parameter int ProjAccWidth = 32,
  parameter int ProjAccFrac = 22,
  parameter int ProjClip = 0,     // bound on its magnitude, as a code; 0 for none
  parameter ProjWeightFile = "",
  parameter ProjBiasFile = "",
  parameter int InElements = 1,    // elements of x per beat; divides Multipliers / (4 * HiddenSize) where above 1
  parameter int OutElements = 1,   // elements of h per beat; likewise
  parameter int MemoryStages = 3,  // read latency of memories: 0 to 3
  parameter int OperandStages = 2, // registers before a multiplier
  parameter int ProductStages = 3, // registers after a multiplier
  parameter int SumStages = 1,     // registers after an adder: 0 or 1
  parameter bit WritableWeights = 1'b0,  // RAM for weights and biases, with the files as first contents; else ROM
  parameter int Contexts = 1,      // sequences that take turns, each with states of its own; a power of two
  parameter int WeightSets = 1,    // of weights, biases and peephole weights; above 1, one for each context
  parameter logic [Contexts-1:0] Keeps = '1,  // contexts that keep_i is for
  // Derived: leave them alone.
  localparam int Rows = 4 * HiddenSize,
  localparam int Banks = Multipliers > Rows ? Multipliers / Rows : 1,
  localparam int Units = Banks < HiddenSize ? Banks : HiddenSize,
  localparam int Groups = (HiddenSize + Units - 1) / Units,
  localparam int GroupWidth = Groups > 1 ? $clog2(Groups) : 1,
  localparam int UnitWidth = Units > 1 ? $clog2(Units) : 1,
  localparam int OutputSize = ProjSize > 0 ? ProjSize : HiddenSize,  // R
  localparam int OutWidth = ProjSize > 0 ? ProjWidth : HWidth,
  localparam int StateWidth = OutWidth > CellWidth ? OutWidth : CellWidth,
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int StateAddressWidth = GroupWidth + (Units > 1 ? UnitWidth : 0)
) (
  input  wire logic                            clk,
  input  wire logic                            rst,            // synchronous, active high
  // x, InputSize elements per step; tlast with the last beat of a sequence
  input  wire logic [InElements*XWidth-1:0]    s_axis_tdata,
  input  wire logic                            s_axis_tvalid,
  input  wire logic                            s_axis_tlast,
  input  wire logic [ContextWidth-1:0]         s_axis_tid,       // whose step it is
  output logic                                 s_axis_tready,
  // h or its projection, OutputSize elements per step; tlast with the last beat of a sequence
  output logic      [OutElements*OutWidth-1:0] m_axis_tdata,
  output logic                                 m_axis_tvalid,
  output logic                                 m_axis_tlast,
  output logic      [ContextWidth-1:0]         m_axis_tid,
  input  wire logic                            m_axis_tready,
  // states: write h0 or c0, read the last h or c, while not busy
  input  wire logic [StateAddressWidth-1:0]    state_address_i,  // {unit / Units, unit mod Units}
  input  wire logic [ContextWidth-1:0]         state_context_i,
  input  wire logic                            state_select_i,   // 0: h, 1: c
  input  wire logic                            state_write_i,
  input  wire logic [StateWidth-1:0]           state_data_i,
  output logic      [StateWidth-1:0]           state_data_o,     // MemoryStages + 2 clocks after the address
  // weights and biases: write while not busy
  input  wire logic                            weight_write_i,
  input  wire logic [ContextWidth-1:0]         weight_context_i, // whose they are, with several WeightSets
  input  wire logic [2:0]                      weight_memory_i,  // 0: weights, 1: biases, 2: peepholes; 5, 6: those of the projection
  input  wire logic [31:0]                     weight_address_i, // {word, piece of 32 bits: 12 bits}
  input  wire logic [31:0]                     weight_data_i,
  input  wire logic                            keep_i,           // sequences go on from the last states, not from h0 and c0
  // status
  output logic                                 busy_o,
  output logic                                 done_o,           // one clock: the last beat has gone
  input  wire logic                            clear_i,          // of the sticky flags
  output logic      [2:0]                      saturated_o,      // sticky: z, c, h
  output logic                                 protocol_error_o  // sticky: tlast inside a step, or a state or weight written while busy
);
  localparam int XSumWidth = XWidth + XShift;
  localparam int HSumWidth = OutWidth + HShift;
  // A column that lasts long needs only itself and the one after it at hand.
  localparam int Ahead = Rows / Multipliers > MemoryStages + 2 * SumStages + 4 ? 2 : MemoryStages + 2 * SumStages + 3;
  localparam int OperandWidth = XSumWidth > HSumWidth ? XSumWidth : HSumWidth;
  localparam int OutUnits = Banks < OutputSize ? Banks : OutputSize;  // elements out per group
  localparam int OutGroups = (OutputSize + OutUnits - 1) / OutUnits;
  localparam int OutGroupWidth = OutGroups > 1 ? $clog2(OutGroups) : 1;
  localparam int OutUnitWidth = OutUnits > 1 ? $clog2(OutUnits) : 1;
  if (OutputSize > HiddenSize) begin : g_check_projection
    $error("ProjSize must be at most HiddenSize");
  end

  if (Contexts < 1 || 2 ** $clog2(Contexts) != Contexts || (Contexts > 1 && ProjSize > 0)) begin : g_check_contexts
    $error("Contexts must be a power of two, and 1 where there is a projection");
  end
  if (WeightSets < 1 || (WeightSets > 1 && 2 ** $clog2(WeightSets) != Contexts)) begin : g_check_sets
    $error("WeightSets must be 1, or Contexts, or a number that Contexts is the next power of two of");
  end

  // x comes in through a register slice; a single context takes no bit of it
  localparam int BeatWidth = InElements * XWidth + 1 + $clog2(Contexts);
  logic [BeatWidth-1:0] beat_in, beat;
  logic [InElements*XWidth-1:0] x;
  logic [ContextWidth-1:0] x_context;
  logic x_last, x_valid, x_ready;
  assign beat_in = BeatWidth'({s_axis_tid, s_axis_tlast, s_axis_tdata});
  assign {x_last, x} = beat[InElements*XWidth:0];
  assign x_context = Contexts > 1 ? beat[BeatWidth-1-:ContextWidth] : '0;
  stream_register #(.Width(BeatWidth)) u_in (
    .clk,
    .rst,
    .s_data_i(beat_in),
    .s_valid_i(s_axis_tvalid),
    .s_ready_o(s_axis_tready),
    .m_data_o(beat),
    .m_valid_o(x_valid),
    .m_ready_i(x_ready)
  );

  // Host access, one register away from the pins
  logic idle, under_way_q, locked, keep_q, clear_q, host_select_q, host_select_late;
  logic [Units-1:0] host_write_q;
  logic [GroupWidth-1:0] host_group_q;
  logic [UnitWidth-1:0] host_unit, host_unit_q;
  logic [ContextWidth-1:0] host_context_q;
  logic [StateWidth-1:0] host_data_q;
  if (Units > 1) begin : g_unit
    assign host_unit = state_address_i[UnitWidth-1:0];
  end else begin : g_one_unit
    assign host_unit = '0;
  end
  always_ff @(posedge clk) begin
    for (int i = 0; i < Units; i++) host_write_q[i] <= state_write_i && !locked && int'(host_unit) == i;
    host_group_q <= state_address_i[StateAddressWidth-1-:GroupWidth];
    host_unit_q <= host_unit;
    host_context_q <= Contexts > 1 ? state_context_i : '0;
    host_select_q <= state_select_i;
    host_data_q <= state_data_i;
    keep_q <= keep_i;
    clear_q <= clear_i;
  end

  logic weight_write_q;
  logic [ContextWidth-1:0] weight_context_q;
  logic [2:0] weight_memory_q;
  logic [31:0] weight_address_q, weight_data_q;
  always_ff @(posedge clk) begin
    weight_write_q <= weight_write_i && !locked;
    weight_context_q <= WeightSets > 1 ? weight_context_i : '0;
    weight_memory_q <= weight_memory_i;
    weight_address_q <= weight_address_i;
    weight_data_q <= weight_data_i;
  end

  logic [1:0] operand_soon;
  logic [Banks*OperandWidth-1:0] operand_front, operand_next;
  logic operand_initial, operand_last, operand_pop, operand_shift, length_error;
  logic y_step_last, y_sequence_last, y_valid;  // y: h or its projection
  logic [OutUnits-1:0] y_present;
  logic [OutGroupWidth-1:0] y_group;
  logic [OutUnits*OutWidth-1:0] y;
  logic [OutWidth-1:0] host_y;
  logic [ContextWidth-1:0] operand_context, y_context;
  lstm_operands #(
    .InputSize(InputSize),
    .HiddenSize(OutputSize),
    .Banks(Banks),
    .Units(OutUnits),
    .InElements(InElements),
    .XWidth(XWidth),
    .XShift(XShift),
    .HWidth(OutWidth),
    .HShift(HShift),
    .OperandWidth(OperandWidth),
    .MemoryStages(MemoryStages),
    .SumStages(SumStages),
    .Ahead(Ahead),
    .Contexts(Contexts),
    .Keeps(Keeps)
  ) u_operands (
    .clk,
    .rst,
    .x_i(x),
    .x_last_i(x_last),
    .x_context_i(x_context),
    .x_valid_i(x_valid),
    .x_ready_o(x_ready),
    .keep_i(keep_q),
    .error_o(length_error),
    .h_present_i(y_present),
    .h_group_i(y_group),
    .h_i(y),
    .h_step_last_i(y_step_last),
    .h_context_i(y_context),
    .operand_soon_o(operand_soon),
    .operand_front_o(operand_front),
    .operand_next_o(operand_next),
    .operand_initial_o(operand_initial),
    .operand_last_o(operand_last),
    .operand_context_o(operand_context),
    .operand_pop_i(operand_pop),
    .operand_shift_i(operand_shift),
    .idle_o(idle),
    .host_write_i(host_select_q ? '0 : host_write_q[OutUnits-1:0]),
    .host_group_i(host_group_q[OutGroupWidth-1:0]),
    .host_context_i(host_context_q),
    .host_unit_i(host_unit_q[OutUnitWidth-1:0]),
    .host_data_i(host_data_q[OutWidth-1:0]),
    .host_data_o(host_y)
  );

  logic room, start, h_step_last, h_sequence_last, h_valid;
  logic [ContextWidth-1:0] h_context;
  logic [Units-1:0] h_present;
  logic [GroupWidth-1:0] h_group;
  logic [Units*HWidth-1:0] h;
  logic [Units*CellWidth-1:0] host_cells;
  logic [2:0] saturated;
  lstm_cell #(
    .InputSize(InputSize),
    .HiddenSize(HiddenSize),
    .OutputSize(OutputSize),
    .Multipliers(Multipliers),
    .OperandWidth(OperandWidth),
    .HWidth(HWidth),
    .HFrac(HFrac),
    .WeightWidth(WeightWidth),
    .BiasWidth(BiasWidth),
    .AccWidth(AccWidth),
    .AccFrac(AccFrac),
    .ZWidth(ZWidth),
    .ZFrac(ZFrac),
    .ActWidth(ActWidth),
    .ActFrac(ActFrac),
    .CellWidth(CellWidth),
    .CellFrac(CellFrac),
    .TableBits(TableBits),
    .SlopeWidth(SlopeWidth),
    .WeightFile(WeightFile),
    .BiasFile(BiasFile),
    .SigmoidFile(SigmoidFile),
    .TanhFile(TanhFile),
    .OutputFile(OutputFile),
    .Peepholes(Peepholes),
    .PeepholeWidth(PeepholeWidth),
    .PeepholeFrac(PeepholeFrac),
    .PeepholeFile(PeepholeFile),
    .GateClip(GateClip),
    .CellClip(CellClip),
    .MemoryStages(MemoryStages),
    .OperandStages(OperandStages),
    .ProductStages(ProductStages),
    .SumStages(SumStages),
    .WritableWeights(WritableWeights),
    .Contexts(Contexts),
    .WeightSets(WeightSets)
  ) u_cell (
    .clk,
    .rst,
    .operand_soon_i(operand_soon),
    .operand_front_i(operand_front),
    .operand_next_i(operand_next),
    .operand_initial_i(operand_initial),
    .operand_last_i(operand_last),
    .operand_context_i(operand_context),
    .operand_pop_o(operand_pop),
    .operand_shift_o(operand_shift),
    .room_i(room),
    .start_o(start),
    .h_valid_o(h_valid),
    .h_group_o(h_group),
    .h_present_o(h_present),
    .h_o(h),
    .h_step_last_o(h_step_last),
    .h_sequence_last_o(h_sequence_last),
    .h_context_o(h_context),
    .host_i(idle),
    .host_write_i(host_select_q ? host_write_q : '0),
    .host_group_i(host_group_q),
    .host_context_i(host_context_q),
    .host_data_i(host_data_q[CellWidth-1:0]),
    .host_data_o(host_cells),
    .saturated_o(saturated),
    .weight_write_i(weight_write_q && weight_memory_q < 3'd3),
    .weight_context_i(weight_context_q),
    .weight_memory_i(weight_memory_q[1:0]),
    .weight_address_i(weight_address_q),
    .weight_data_i(weight_data_q)
  );

  // What leaves the cell, and is read by the next step
  logic out_room, out_start, projection_busy, projection_saturated;
  if (ProjSize > 0) begin : g_projection
    logic unused_group;
    assign unused_group = ^{h_group, h_context};
    assign y_context = '0;
    lstm_projection #(
      .HiddenSize(HiddenSize),
      .OutputSize(ProjSize),
      .Units(Units),
      .OutUnits(OutUnits),
      .Lanes(ProjMultipliers),
      .HWidth(HWidth),
      .WeightWidth(ProjWeightWidth),
      .BiasWidth(ProjBiasWidth),
      .AccWidth(ProjAccWidth),
      .Shift(ProjAccFrac - ProjFrac),
      .OutWidth(ProjWidth),
      .Clip(ProjClip),
      .WeightFile(ProjWeightFile),
      .BiasFile(ProjBiasFile),
      .MemoryStages(MemoryStages),
      .OperandStages(OperandStages),
      .ProductStages(ProductStages),
      .SumStages(SumStages),
      .WritableWeights(WritableWeights)
    ) u_projection (
      .clk,
      .rst,
      .room_o(room),
      .start_i(start),
      .h_valid_i(h_valid),
      .h_present_i(h_present),
      .h_i(h),
      .h_step_last_i(h_step_last),
      .h_sequence_last_i(h_sequence_last),
      .room_i(out_room),
      .start_o(out_start),
      .r_valid_o(y_valid),
      .r_group_o(y_group),
      .r_present_o(y_present),
      .r_o(y),
      .r_step_last_o(y_step_last),
      .r_sequence_last_o(y_sequence_last),
      .saturated_o(projection_saturated),
      .busy_o(projection_busy),
      .weight_write_i(weight_write_q && weight_memory_q == 3'd5),
      .bias_write_i(weight_write_q && weight_memory_q == 3'd6),
      .weight_address_i(weight_address_q),
      .weight_data_i(weight_data_q)
    );
  end else begin : g_no_projection
    assign {room, out_start} = {out_room, start};
    assign {y_valid, y_group, y_present, y} = {h_valid, h_group, h_present, h};
    assign {y_step_last, y_sequence_last, y_context} = {h_step_last, h_sequence_last, h_context};
    assign {projection_saturated, projection_busy} = '0;
  end

  logic [UnitWidth-1:0] host_unit_late;
  delay #(.Width(UnitWidth + 1), .Stages(MemoryStages)) u_host (
    .clk, .rst(1'b0), .data_i({host_unit_q, host_select_q}), .data_o({host_unit_late, host_select_late})
  );
  always_ff @(posedge clk) begin
    state_data_o <= StateWidth'($signed(host_y));
    if (host_select_late) state_data_o <= StateWidth'($signed(host_cells[int'(host_unit_late)*CellWidth+:CellWidth]));
  end

  // What leaves may have far to go. At least the clocks from start_o to a group of h, with every variant:
  localparam int OutputLatency = 12 + 3 * MemoryStages + 6 * OperandStages + 6 * ProductStages + 26 * SumStages;
  logic out_busy, leaving_valid, leaving_step_last, leaving_sequence_last;
  logic [OutUnits-1:0] leaving_present;
  logic [OutUnits*OutWidth-1:0] leaving;
  logic [ContextWidth-1:0] leaving_context;
  delay #(.Width(1), .Stages(SumStages)) u_leaving_valid (.clk, .rst, .data_i(y_valid), .data_o(leaving_valid));
  delay #(.Width(OutUnits * (OutWidth + 1) + 2 + ContextWidth), .Stages(SumStages)) u_leaving (
    .clk,
    .rst(1'b0),
    .data_i({y_present, y, y_step_last, y_sequence_last, y_context}),
    .data_o({leaving_present, leaving, leaving_step_last, leaving_sequence_last, leaving_context})
  );
  lstm_output #(
    .HiddenSize(OutputSize),
    .Units(OutUnits),
    .OutElements(OutElements),
    .Width(OutWidth),
    .Contexts(Contexts),
    .Latency(OutputLatency),
    .MemoryStages(MemoryStages)
  ) u_output (
    .clk,
    .rst,
    .start_i(out_start),
    .room_o(out_room),
    .valid_i(leaving_valid),
    .present_i(leaving_present),
    .data_i(leaving),
    .step_last_i(leaving_step_last),
    .sequence_last_i(leaving_sequence_last),
    .context_i(leaving_context),
    .busy_o(out_busy),
    .m_axis_tdata,
    .m_axis_tvalid,
    .m_axis_tlast,
    .m_axis_tid,
    .m_axis_tready
  );

  // The status at the pins, a register away from where it is known
  assign locked = under_way_q || busy_o;
  always_ff @(posedge clk) begin
    if (rst) begin
      under_way_q <= 1'b0;
      busy_o <= 1'b0;
      done_o <= 1'b0;
      saturated_o <= '0;
      protocol_error_o <= 1'b0;
    end else begin
      under_way_q <= !idle || projection_busy || out_busy || x_valid;
      busy_o <= under_way_q;
      done_o <= busy_o && !under_way_q;
      saturated_o <= (clear_q ? '0 : saturated_o) | saturated | {2'b0, projection_saturated};
      protocol_error_o <= (protocol_error_o && !clear_q) || length_error || ((state_write_i || weight_write_i) && locked);
    end
  end
endmodule
`default_nettype wire
