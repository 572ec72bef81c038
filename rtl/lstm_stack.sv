// A whole model as a stream: layers of one or two directions, each an `lstm`, chained; optionally the last step alone,
// and the head of a classifier.
//
// Golden model: docs/fixed-point.md. Every format is a vector of 32-bit fields, one for each cell, cell 0 lowest; cells
// in the order layer 0 forward, layer 0 reverse, layer 1 forward, … A single forward layer is its `lstm` and nothing else.
// Throughput: that of the slowest cell, or of the stream out.
`default_nettype none
module lstm_stack #(
  parameter int InputSize = 32,    // D
  parameter int HiddenSize = 64,   // H
  parameter int ProjSize = 0,      // R, elements of the projection of h; 0 for none
  parameter int Layers = 1,        // at most 10
  parameter int Direction = 0,     // 0: forward, 1: reverse, 2: both
  parameter int MaxSteps = 64,     // longest sequence, where a direction is reverse
  parameter bit LastOnly = 1'b0,   // only the last step of a sequence comes out
  parameter int Multipliers = 16,  // P, for each cell
  parameter int Head = 0,          // 0: h comes out, 1: scores of a linear head, 2: the class with the largest
  parameter int Classes = 9,
  parameter int HeadLanes = 1,     // products of the head per clock
  parameter int HeadWeightWidth = 8,
  parameter int HeadBiasWidth = 24,
  parameter int HeadAccWidth = 32,
  parameter int HeadAccFrac = 22,
  parameter int ScoreWidth = 16,
  parameter int ScoreFrac = 11,
  // Derived: leave them alone.
  localparam int Directions = Direction == 2 ? 2 : 1,
  localparam int Cells = Layers * Directions,
  parameter logic [32*Cells-1:0] XWidth = {Cells{32'd16}},
  parameter logic [32*Cells-1:0] XFrac = {Cells{32'd15}},
  parameter logic [32*Cells-1:0] XShift = {Cells{32'd0}},
  parameter logic [32*Cells-1:0] HWidth = {Cells{32'd16}},
  parameter logic [32*Cells-1:0] HShift = {Cells{32'd0}},
  parameter logic [32*Cells-1:0] HFrac = {Cells{32'd15}},
  parameter logic [32*Cells-1:0] WeightWidth = {Cells{32'd8}},
  parameter logic [32*Cells-1:0] BiasWidth = {Cells{32'd24}},
  parameter logic [32*Cells-1:0] AccWidth = {Cells{32'd32}},
  parameter logic [32*Cells-1:0] AccFrac = {Cells{32'd22}},
  parameter logic [32*Cells-1:0] ZWidth = {Cells{32'd16}},
  parameter logic [32*Cells-1:0] ZFrac = {Cells{32'd12}},
  parameter logic [32*Cells-1:0] ActWidth = {Cells{32'd18}},
  parameter logic [32*Cells-1:0] ActFrac = {Cells{32'd16}},
  parameter logic [32*Cells-1:0] CellWidth = {Cells{32'd18}},
  parameter logic [32*Cells-1:0] CellFrac = {Cells{32'd14}},
  parameter logic [32*Cells-1:0] TableBits = {Cells{32'd8}},
  parameter logic [32*Cells-1:0] SlopeWidth = {Cells{32'd16}},
  parameter logic [32*Cells-1:0] Peepholes = {Cells{32'd0}},
  parameter logic [32*Cells-1:0] PeepholeWidth = {Cells{32'd8}},
  parameter logic [32*Cells-1:0] PeepholeFrac = {Cells{32'd6}},
  parameter logic [32*Cells-1:0] GateClip = {Cells{32'd0}},
  parameter logic [32*Cells-1:0] CellClip = {Cells{32'd0}},
  parameter logic [32*Cells-1:0] ProjMultipliers = {Cells{32'd1}},
  parameter logic [32*Cells-1:0] ProjWidth = {Cells{32'd16}},
  parameter logic [32*Cells-1:0] ProjFrac = {Cells{32'd15}},
  parameter logic [32*Cells-1:0] ProjWeightWidth = {Cells{32'd8}},
  parameter logic [32*Cells-1:0] ProjBiasWidth = {Cells{32'd24}},
  parameter logic [32*Cells-1:0] ProjAccWidth = {Cells{32'd32}},
  parameter logic [32*Cells-1:0] ProjAccFrac = {Cells{32'd22}},
  parameter logic [32*Cells-1:0] ProjClip = {Cells{32'd0}},
  parameter Files = "weights/",    // memory files are Files, then as l0_forward_weight.hex
  parameter int InElements = 1,    // elements of x per beat
  parameter int OutElements = 1,   // elements per beat out
  parameter int LinkElements = 1,  // elements per beat between layers
  parameter int MemoryStages = 3,
  parameter int OperandStages = 2,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,  // RAM for weights and biases, with the files as first contents; else ROM
  parameter int Contexts = 1,      // sequences that take turns, step by step, in forward layers; a power of two
  parameter int Share = 0,         // cells in one engine: 0 none, 1 both directions of a layer, 2 layers of one size
  localparam int InWidth = InElements * int'(XWidth[31:0]),
  localparam int OutputSize = ProjSize > 0 ? ProjSize : HiddenSize,  // of a cell
  localparam logic [32*Cells-1:0] OutBits = ProjSize > 0 ? ProjWidth : HWidth,
  localparam int YWidth = OutElements * int'(OutBits[32*(Cells-1)+:32]),
  localparam int OutWidth = Head == 0 ? YWidth : Head == 1 ? ScoreWidth : Classes > 1 ? $clog2(Classes) + 1 : 2,
  localparam int CellBits = Cells > 1 ? $clog2(Cells) : 1,
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int Columns = Multipliers > 4 * HiddenSize ? Multipliers / (4 * HiddenSize) : 1,
  localparam int Units = Columns < HiddenSize ? Columns : HiddenSize,
  localparam int Groups = (HiddenSize + Units - 1) / Units,
  localparam int AddressWidth = (Groups > 1 ? $clog2(Groups) : 1) + (Units > 1 ? $clog2(Units) : 0)
) (
  input  wire logic                    clk,
  input  wire logic                    rst,              // synchronous, active high
  // x, InputSize elements per step; tlast with the last beat of a sequence
  input  wire logic [InWidth-1:0]      s_axis_tdata,
  input  wire logic                    s_axis_tvalid,
  input  wire logic                    s_axis_tlast,
  input  wire logic [ContextWidth-1:0] s_axis_tid,       // whose step it is
  output logic                         s_axis_tready,
  // h or its projection of the last layer, forward then reverse, or scores, or a class; tlast with the last beat of a sequence
  output logic      [OutWidth-1:0]     m_axis_tdata,
  output logic                         m_axis_tvalid,
  output logic                         m_axis_tlast,
  output logic      [ContextWidth-1:0] m_axis_tid,
  input  wire logic                    m_axis_tready,
  // states of every cell: write h0 or c0, read the last h or c, while not busy
  input  wire logic [CellBits-1:0]     state_cell_i,
  input  wire logic [ContextWidth-1:0] state_context_i,
  input  wire logic [AddressWidth-1:0] state_address_i,  // {unit / Units, unit mod Units}
  input  wire logic                    state_select_i,   // 0: h, 1: c
  input  wire logic                    state_write_i,
  input  wire logic [31:0]             state_data_i,
  output logic      [31:0]             state_data_o,     // MemoryStages + 3 clocks after the address
  // weights and biases of every cell, and of the head: write while not busy
  input  wire logic                    weight_write_i,
  input  wire logic [CellBits-1:0]     weight_cell_i,
  input  wire logic [2:0]              weight_memory_i,  // 0: weights, 1: biases, 2: peepholes; 3, 4: weights, biases of the head; 5, 6: those of the projection
  input  wire logic [31:0]             weight_address_i, // {word, piece of 32 bits: 12 bits}
  input  wire logic [31:0]             weight_data_i,
  input  wire logic                    keep_i,           // forward cells go on from the last states, not from h0 and c0
  // status
  output logic                         busy_o,
  output logic                         done_o,           // one clock: the last beat has gone
  input  wire logic                    clear_i,          // of the sticky flags
  output logic      [3*Cells-1:0]      saturated_o,      // sticky, of each cell: z, c, h
  output logic                         protocol_error_o, // sticky: tlast inside a step, or a state or weight written while busy
  output logic                         head_saturated_o, // sticky: a score
  output logic                         overflow_o        // sticky: a sequence was longer than MaxSteps and was cut
);
  localparam int InBeats = (InputSize + InElements - 1) / InElements;
  localparam int OutBeats = (OutputSize + OutElements - 1) / OutElements;
  localparam logic [32*Cells-1:0] OutFrac = ProjSize > 0 ? ProjFrac : HFrac;
  if (Layers < 1 || Layers > 10 || Direction < 0 || Direction > 2) begin : g_check_layers
    $error("Layers must be 1 to 10, and Direction 0 (forward), 1 (reverse) or 2 (both)");
  end
  if (Contexts > 1 && Direction != 0) begin : g_check_contexts
    $error("several Contexts take turns in forward layers alone: a reverse one reads whole sequences");
  end
  // One engine after another, or pairs of them; layers of one size are the last.
  localparam int Stages = Share == 2 ? (InputSize == OutputSize ? 1 : 2) : Layers;
  if (Share < 0 || Share > 2 || (Share > 0 && ProjSize > 0) || (Share == 1 && Direction != 2) || (Share == 2 && Direction == 2)) begin : g_check_share
    $error("Share must be 0, 1 where there are both directions, or 2 where there is one; with a projection, 0");
  end
  if (Share == 2 && (Stages >= Layers || Contexts > 1 || LinkElements != OutElements || (Stages == 1 && InElements != OutElements))) begin : g_check_layers_in_turn
    $error("layers that take turns are at least two, with as many elements in a beat on every side and one of Contexts");
  end
  if (Head != 0 && OutElements != 1) begin : g_check_head
    $error("a head takes one element per beat: OutElements must be 1");
  end
  if (Directions == 2 && (OutputSize % OutElements != 0 || OutputSize % LinkElements != 0)) begin : g_check_elements
    $error("with both directions, OutElements and LinkElements must divide HiddenSize, or ProjSize");
  end

  logic [Stages:0] link_last, link_valid, link_ready;  // into each layer, and out of the last
  logic [(Stages+1)*ContextWidth-1:0] link_id;
  assign link_id[0+:ContextWidth] = Contexts > 1 ? s_axis_tid : '0;
  logic [InWidth-1:0] in_data;
  logic in_busy, in_short, in_long;
  stack_input #(
    .Width(InWidth), .Beats(InBeats), .Direction(Direction), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)
  ) u_input (
    .clk,
    .rst,
    .s_data_i(s_axis_tdata),
    .s_last_i(s_axis_tlast),
    .s_valid_i(s_axis_tvalid),
    .s_ready_o(s_axis_tready),
    .m_data_o(in_data),
    .m_last_o(link_last[0]),
    .m_valid_o(link_valid[0]),
    .m_ready_i(link_ready[0]),
    .busy_o(in_busy),
    .short_o(in_short),
    .long_o(in_long)
  );

  // Layers
  logic [Stages-1:0] layer_busy;
  logic [Cells-1:0] cell_busy, cell_done, cell_error;
  logic [32*Cells-1:0] cell_state;
  for (genvar layer = 0; layer < Stages; layer++) begin : g_layer
    localparam int First = layer * Directions;
    localparam int Engines = Share == 1 ? 1 : Directions;
    localparam int Turns = Share == 2 && layer == Stages - 1 ? Layers - layer : Directions / Engines;  // cells of an engine
    localparam int EngineContexts = Turns > 1 ? 2 ** $clog2(Turns) : Contexts;
    localparam int IdWidth = EngineContexts > 1 ? $clog2(EngineContexts) : 1;
    localparam int Size = layer == 0 ? InputSize : Directions * OutputSize;
    localparam int XElements = layer == 0 ? InElements : LinkElements;
    localparam int YElements = layer == Stages - 1 ? OutElements : LinkElements;
    localparam int XBits = int'(XWidth[32*First+:32]);
    localparam int YBits = int'(OutBits[32*First+:32]);
    logic [XElements*XBits-1:0] x;
    logic [YElements*YBits-1:0] y;
    if (layer == 0) begin : g_in
      assign x = in_data;
    end else begin : g_link
      localparam int FromBits = int'(OutBits[32*(First-1)+:32]);
      localparam int Shift = int'($signed(OutFrac[32*(First-1)+:32])) - int'($signed(XFrac[32*First+:32]));
      convert_elements #(.Elements(LinkElements), .InWidth(FromBits), .Shift(Shift), .OutWidth(XBits)) u_convert (
        .clk, .data_i(g_layer[layer-1].y), .data_o(x)
      );
    end

    logic [Engines*XElements*XBits-1:0] x_data;
    logic [Engines*YElements*YBits-1:0] y_data;
    logic [Engines-1:0] x_last, x_valid, x_ready, y_last, y_valid, y_ready;
    logic [IdWidth-1:0] x_id;
    logic [Engines*IdWidth-1:0] y_id;
    for (genvar direction = 0; direction < Engines; direction++) begin : g_direction
      localparam int Cell = First + direction;
      localparam bit Reverse = Direction == 1 || direction == 1;
      localparam Name = Turns > 1 ? "_in_turn" : Reverse ? "_reverse" : "_forward";
      logic [IdWidth-1:0] state_context, weight_context;
      logic [CellBits-1:0] state_turn, weight_turn;  // of the cells in this engine, where below Turns
      assign state_turn = state_cell_i - CellBits'(Cell);
      assign weight_turn = weight_cell_i - CellBits'(Cell);
      assign state_context = Turns > 1 ? IdWidth'(state_turn) : IdWidth'(state_context_i);
      assign weight_context = Turns > 1 ? IdWidth'(weight_turn) : '0;
      localparam int StateWidth = int'(OutBits[32*Cell+:32] > CellWidth[32*Cell+:32] ? OutBits[32*Cell+:32] : CellWidth[32*Cell+:32]);
      logic [StateWidth-1:0] state;
      logic [2:0] saturated;
      logic busy, done, error;
      lstm #(
        .InputSize(Size),
        .HiddenSize(HiddenSize),
        .Multipliers(Multipliers),
        .XWidth(int'(XWidth[32*Cell+:32])),
        .XShift(int'(XShift[32*Cell+:32])),
        .HWidth(int'(HWidth[32*Cell+:32])),
        .HShift(int'(HShift[32*Cell+:32])),
        .HFrac(int'(HFrac[32*Cell+:32])),
        .WeightWidth(int'(WeightWidth[32*Cell+:32])),
        .BiasWidth(int'(BiasWidth[32*Cell+:32])),
        .AccWidth(int'(AccWidth[32*Cell+:32])),
        .AccFrac(int'($signed(AccFrac[32*Cell+:32]))),
        .ZWidth(int'(ZWidth[32*Cell+:32])),
        .ZFrac(int'(ZFrac[32*Cell+:32])),
        .ActWidth(int'(ActWidth[32*Cell+:32])),
        .ActFrac(int'(ActFrac[32*Cell+:32])),
        .CellWidth(int'(CellWidth[32*Cell+:32])),
        .CellFrac(int'(CellFrac[32*Cell+:32])),
        .TableBits(int'(TableBits[32*Cell+:32])),
        .SlopeWidth(int'(SlopeWidth[32*Cell+:32])),
        .WeightFile({Files, "l", 8'(48 + layer), Name, "_weight.hex"}),
        .BiasFile({Files, "l", 8'(48 + layer), Name, "_bias.hex"}),
        .SigmoidFile({Files, "l", 8'(48 + layer), Name, "_sigmoid.hex"}),
        .TanhFile({Files, "l", 8'(48 + layer), Name, "_tanh.hex"}),
        .OutputFile({Files, "l", 8'(48 + layer), Name, "_output.hex"}),
        .Peepholes(int'(Peepholes[32*Cell+:32])),
        .PeepholeWidth(int'(PeepholeWidth[32*Cell+:32])),
        .PeepholeFrac(int'($signed(PeepholeFrac[32*Cell+:32]))),
        .PeepholeFile({Files, "l", 8'(48 + layer), Name, "_peephole.hex"}),
        .GateClip(GateClip[32*Cell]),
        .CellClip(int'(CellClip[32*Cell+:32])),
        .ProjSize(ProjSize),
        .ProjMultipliers(int'(ProjMultipliers[32*Cell+:32])),
        .ProjWidth(int'(ProjWidth[32*Cell+:32])),
        .ProjFrac(int'($signed(ProjFrac[32*Cell+:32]))),
        .ProjWeightWidth(int'(ProjWeightWidth[32*Cell+:32])),
        .ProjBiasWidth(int'(ProjBiasWidth[32*Cell+:32])),
        .ProjAccWidth(int'(ProjAccWidth[32*Cell+:32])),
        .ProjAccFrac(int'($signed(ProjAccFrac[32*Cell+:32]))),
        .ProjClip(int'(ProjClip[32*Cell+:32])),
        .ProjWeightFile({Files, "l", 8'(48 + layer), Name, "_projection_weight.hex"}),
        .ProjBiasFile({Files, "l", 8'(48 + layer), Name, "_projection_bias.hex"}),
        .InElements(XElements),
        .OutElements(YElements),
        .MemoryStages(MemoryStages),
        .OperandStages(OperandStages),
        .ProductStages(ProductStages),
        .SumStages(SumStages),
        .WritableWeights(WritableWeights),
        .Contexts(EngineContexts),
        .WeightSets(Turns),
        .Keeps(Share == 1 ? EngineContexts'(1) : '1)
      ) u_lstm (
        .clk,
        .rst,
        .s_axis_tdata(x_data[direction*XElements*XBits+:XElements*XBits]),
        .s_axis_tvalid(x_valid[direction]),
        .s_axis_tlast(x_last[direction]),
        .s_axis_tid(x_id),
        .s_axis_tready(x_ready[direction]),
        .m_axis_tdata(y_data[direction*YElements*YBits+:YElements*YBits]),
        .m_axis_tvalid(y_valid[direction]),
        .m_axis_tlast(y_last[direction]),
        .m_axis_tid(y_id[direction*IdWidth+:IdWidth]),
        .m_axis_tready(y_ready[direction]),
        .state_address_i,
        .state_context_i(state_context),
        .state_select_i,
        .state_write_i(state_write_i && (Cells == 1 || (int'(state_turn) < Turns && !busy_o))),
        .state_data_i(state_data_i[StateWidth-1:0]),
        .state_data_o(state),
        .weight_write_i(weight_write_i && weight_memory_i != 3'd3 && weight_memory_i != 3'd4 && (Cells == 1 || (int'(weight_turn) < Turns && !busy_o))),
        .weight_context_i(weight_context),
        .weight_memory_i,
        .weight_address_i,
        .weight_data_i,
        .keep_i(keep_i && !Reverse),
        .busy_o(busy),
        .done_o(done),
        .clear_i,
        .saturated_o(saturated),
        .protocol_error_o(error)
      );
      assign {cell_busy[Cell+:Turns], cell_done[Cell+:Turns], cell_error[Cell+:Turns]} = {{Turns{busy}}, {Turns{done}}, {Turns{error}}};
      assign saturated_o[3*Cell+:3*Turns] = {Turns{saturated}};
      assign cell_state[32*Cell+:32*Turns] = {Turns{32'($signed(state))}};
    end

    engine_streams #(
      .Directions(Directions),
      .Layers(Share == 2 ? Turns : 1),
      .Turns(Share == 1),
      .XElements(XElements),
      .XBeats((Size + XElements - 1) / XElements),
      .XWidth(XBits),
      .YElements(YElements),
      .YBeats((OutputSize + YElements - 1) / YElements),
      .YWidth(YBits),
      .Shift(int'($signed(OutFrac[32*First+:32])) - int'($signed(XFrac[32*First+:32]))),
      .MaxSteps(MaxSteps),
      .MemoryStages(MemoryStages),
      .ContextWidth(ContextWidth),
      .IdWidth(IdWidth)
    ) u_streams (
      .clk,
      .rst,
      .s_data_i(x),
      .s_last_i(link_last[layer]),
      .s_id_i(link_id[layer*ContextWidth+:ContextWidth]),
      .s_valid_i(link_valid[layer]),
      .s_ready_o(link_ready[layer]),
      .x_data_o(x_data),
      .x_last_o(x_last),
      .x_id_o(x_id),
      .x_valid_o(x_valid),
      .x_ready_i(x_ready),
      .y_data_i(y_data),
      .y_last_i(y_last),
      .y_id_i(y_id),
      .y_valid_i(y_valid),
      .y_ready_o(y_ready),
      .m_data_o(y),
      .m_last_o(link_last[layer+1]),
      .m_id_o(link_id[(layer+1)*ContextWidth+:ContextWidth]),
      .m_valid_o(link_valid[layer+1]),
      .m_ready_i(link_ready[layer+1]),
      .busy_o(layer_busy[layer])
    );
  end

  logic out_busy, score_saturated;
  stack_output #(
    .Width(YWidth),
    .Beats(Directions * OutBeats),
    .Direction(Direction),
    .MaxSteps(MaxSteps),
    .LastOnly(LastOnly),
    .Head(Head),
    .Classes(Classes),
    .HeadLanes(HeadLanes),
    .HeadWeightWidth(HeadWeightWidth),
    .HeadBiasWidth(HeadBiasWidth),
    .HeadAccWidth(HeadAccWidth),
    .HeadAccFrac(HeadAccFrac),
    .ScoreWidth(ScoreWidth),
    .ScoreFrac(ScoreFrac),
    .Files(Files),
    .MemoryStages(MemoryStages),
    .OperandStages(OperandStages),
    .ProductStages(ProductStages),
    .SumStages(SumStages),
    .WritableWeights(WritableWeights),
    .Contexts(Contexts)
  ) u_output (
    .clk,
    .rst,
    .s_data_i(g_layer[Stages-1].y),
    .s_last_i(link_last[Stages]),
    .s_id_i(link_id[Stages*ContextWidth+:ContextWidth]),
    .s_valid_i(link_valid[Stages]),
    .s_ready_o(link_ready[Stages]),
    .m_data_o(m_axis_tdata),
    .m_last_o(m_axis_tlast),
    .m_id_o(m_axis_tid),
    .m_valid_o(m_axis_tvalid),
    .m_ready_i(m_axis_tready),
    .saturated_o(score_saturated),
    .busy_o(out_busy),
    .weight_write_i(weight_write_i && weight_memory_i == 3'd3 && !busy_o),
    .bias_write_i(weight_write_i && weight_memory_i == 3'd4 && !busy_o),
    .weight_address_i,
    .weight_data_i
  );

  stack_status #(
    .Cells(Cells),
    .Bare(Cells == 1 && Direction == 0 && !LastOnly && Head == 0),
    .MemoryStages(MemoryStages)
  ) u_status (
    .clk,
    .rst,
    .clear_i,
    .cell_busy_i(cell_busy),
    .cell_done_i(cell_done),
    .cell_error_i(cell_error),
    .cell_state_i(cell_state),
    .buffers_busy_i(in_busy || layer_busy != '0 || out_busy),
    .short_i(in_short),
    .long_i(in_long),
    .score_saturated_i(score_saturated),
    .write_i(state_write_i || weight_write_i),
    .state_cell_i,
    .state_data_o,
    .busy_o,
    .done_o,
    .protocol_error_o,
    .overflow_o,
    .head_saturated_o
  );

  logic unused_numbers;
  assign unused_numbers = ^{state_cell_i, weight_cell_i, state_data_i, link_id};
endmodule
`default_nettype wire
