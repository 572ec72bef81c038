// A whole model behind standard buses: AXI4-Stream for sequences, AXI4-Lite for control, states and weights.
//
// Around `lstm_stack`, whose parameters it hands on. Elements on the streams stand in whole bytes, sign-extended on the
// way out. Registers, and what a soft reset does: README.md beside this file. No path leads from an input to an output.
`default_nettype none
module lstm_axi #(
  parameter int InputSize = 32,
  parameter int HiddenSize = 64,
  parameter int ProjSize = 0,
  parameter int Layers = 1,
  parameter int Direction = 0,
  parameter int MaxSteps = 64,
  parameter bit LastOnly = 1'b0,
  parameter int Multipliers = 16,
  parameter int Head = 0,
  parameter int Classes = 9,
  parameter int HeadLanes = 1,
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
  parameter Files = "weights/",
  parameter int InElements = 1,
  parameter int OutElements = 1,
  parameter int LinkElements = 1,
  parameter int MemoryStages = 3,
  parameter int OperandStages = 2,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,
  parameter int Contexts = 1,           // sequences that take turns, step by step, in forward layers; a power of two
  parameter int Share = 0,              // cells in one engine: 0 none, 1 both directions of a layer, 2 layers
  parameter logic [31:0] Design = '0,  // told in a register, so that a driver knows which weights and formats it meets
  localparam int XBits = int'(XWidth[31:0]),
  localparam int HBits = int'(ProjSize > 0 ? ProjWidth[32*(Cells-1)+:32] : HWidth[32*(Cells-1)+:32]),
  localparam int YBits = Head == 0 ? HBits : Head == 1 ? ScoreWidth : Classes > 1 ? $clog2(Classes) + 1 : 2,
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int XBytes = (XBits + 7) / 8,  // of an element on the stream
  localparam int YBytes = (YBits + 7) / 8
) (
  input  wire logic                             clk,
  input  wire logic                             rst,  // synchronous, active high
  // x, InputSize elements per step; tlast with the last beat of a sequence
  input  wire logic [8*XBytes*InElements-1:0]   s_axis_tdata,
  input  wire logic                             s_axis_tvalid,
  input  wire logic                             s_axis_tlast,
  input  wire logic [ContextWidth-1:0]          s_axis_tid,  // whose step it is; not looked at where Contexts is 1
  output logic                                  s_axis_tready,
  // h or its projection of the last layer, forward then reverse, or scores, or a class; tlast with the last beat of a sequence
  output logic      [8*YBytes*OutElements-1:0]  m_axis_tdata,
  output logic                                  m_axis_tvalid,
  output logic                                  m_axis_tlast,
  output logic      [ContextWidth-1:0]          m_axis_tid,
  input  wire logic                             m_axis_tready,
  // registers
  input  wire logic [11:0]                      s_axil_awaddr,
  input  wire logic [2:0]                       s_axil_awprot,  // not looked at
  input  wire logic                             s_axil_awvalid,
  output logic                                  s_axil_awready,
  input  wire logic [31:0]                      s_axil_wdata,
  input  wire logic [3:0]                       s_axil_wstrb,
  input  wire logic                             s_axil_wvalid,
  output logic                                  s_axil_wready,
  output logic      [1:0]                       s_axil_bresp,
  output logic                                  s_axil_bvalid,
  input  wire logic                             s_axil_bready,
  input  wire logic [11:0]                      s_axil_araddr,
  input  wire logic [2:0]                       s_axil_arprot,  // not looked at
  input  wire logic                             s_axil_arvalid,
  output logic                                  s_axil_arready,
  output logic      [31:0]                      s_axil_rdata,
  output logic      [1:0]                       s_axil_rresp,
  output logic                                  s_axil_rvalid,
  input  wire logic                             s_axil_rready
);
  localparam int Rows = 4 * HiddenSize;
  localparam int Columns = Multipliers > Rows ? Multipliers / Rows : 1;  // per word
  localparam int Lanes = Multipliers < Rows ? Multipliers : Rows;
  localparam int Units = Columns < HiddenSize ? Columns : HiddenSize;
  localparam int Groups = (HiddenSize + Units - 1) / Units;
  localparam int AddressWidth = (Groups > 1 ? $clog2(Groups) : 1) + (Units > 1 ? $clog2(Units) : 0);
  localparam int CellBits = Cells > 1 ? $clog2(Cells) : 1;
  localparam int Constants = 42;
  localparam int StateLatency = MemoryStages + 4;  // from the bus' address
  localparam int QuietClocks = 4;                  // that a beat may be on its way between two modules' busy

  logic unused_protection;
  assign unused_protection = ^{s_axil_awprot, s_axil_arprot};

  // What the bus may read of each cell, in the order of README.md.
  localparam int OutputSize = ProjSize > 0 ? ProjSize : HiddenSize;
  localparam int HeadWords = Directions * OutputSize * ((Classes + HeadLanes - 1) / HeadLanes);
  logic [32*Constants*Cells-1:0] constants;
  logic [256*Cells-1:0] words, pieces;  // of each cell, by the number of the memory
  for (genvar i = 0; i < Cells; i++) begin : g_constants
    localparam int Size = i < Directions ? InputSize : Directions * OutputSize;
    localparam int Words = Columns > 1 ? (Size + OutputSize + Columns - 1) / Columns
                                       : (Rows * (Size + OutputSize) + Lanes - 1) / Lanes;
    localparam int ProjLanes = int'(ProjMultipliers[32*i+:32]);
    assign words[256*i+:256] = {
      32'b0, 32'(ProjSize), 32'(HiddenSize * ((ProjSize + ProjLanes - 1) / ProjLanes)), 32'(Head == 0 ? 0 : Classes), 32'(Head == 0 ? 0 : HeadWords),
      32'(Peepholes[32*i+:32] == '0 ? 0 : HiddenSize), 32'(HiddenSize), 32'(Words)
    };
    assign pieces[256*i+:256] = {
      32'b0, 32'((int'(ProjBiasWidth[32*i+:32]) + 31) / 32),
      32'((ProjLanes * int'(ProjWeightWidth[32*i+:32]) + 31) / 32), 32'((HeadBiasWidth + 31) / 32), 32'((HeadLanes * HeadWeightWidth + 31) / 32),
      32'((3 * int'(PeepholeWidth[32*i+:32]) + 31) / 32), 32'((4 * int'(BiasWidth[32*i+:32]) + 31) / 32),
      32'((Lanes * Columns * int'(WeightWidth[32*i+:32]) + 31) / 32)
    };
    assign constants[32*Constants*i+:32*Constants] = {
      32'(Contexts),
      ProjClip[32*i+:32], ProjAccFrac[32*i+:32], ProjAccWidth[32*i+:32], ProjBiasWidth[32*i+:32],
      ProjWeightWidth[32*i+:32], ProjFrac[32*i+:32], ProjWidth[32*i+:32], ProjMultipliers[32*i+:32], 32'(ProjSize),
      32'(Classes), 32'(Head), CellClip[32*i+:32], GateClip[32*i+:32], Peepholes[32*i+:32],
      SlopeWidth[32*i+:32], TableBits[32*i+:32], CellFrac[32*i+:32], CellWidth[32*i+:32], ActFrac[32*i+:32],
      ActWidth[32*i+:32], ZFrac[32*i+:32], ZWidth[32*i+:32], AccFrac[32*i+:32], AccWidth[32*i+:32],
      BiasWidth[32*i+:32], WeightWidth[32*i+:32], HFrac[32*i+:32], HWidth[32*i+:32], XFrac[32*i+:32],
      XWidth[32*i+:32], 32'(WritableWeights), 32'(OutElements), 32'(InElements), 32'(LastOnly), 32'(MaxSteps),
      32'(Multipliers), 32'(Direction), 32'(Layers), 32'(Cells), 32'(HiddenSize), 32'(Size)
    };
  end

  // Registers
  logic soft_reset, core_reset, enable, keep, start, started, open, idle_q, step, sequence_end;
  logic write, write_error, read, read_error, select, state_write, state_read, load, state_end, load_end;
  logic length_error, overflow, head_saturated, core_busy, c;
  logic [2:0] memory;
  logic [31:0] memory_words, memory_pieces;
  logic [11:2] write_address, read_address;
  logic [31:0] write_data, read_data, state_data;
  logic [CellBits-1:0] cell_selected;
  logic [ContextWidth-1:0] context_selected;
  logic [3*Cells-1:0] saturated;
  axi_lite_slave #(.AddressWidth(12), .ReadLatency(StateLatency + 2)) u_slave (
    .clk, .rst,
    .s_axil_awaddr, .s_axil_awvalid, .s_axil_awready,
    .s_axil_wdata, .s_axil_wstrb, .s_axil_wvalid, .s_axil_wready,
    .s_axil_bresp, .s_axil_bvalid, .s_axil_bready,
    .s_axil_araddr, .s_axil_arvalid, .s_axil_arready,
    .s_axil_rdata, .s_axil_rresp, .s_axil_rvalid, .s_axil_rready,
    .write_o(write), .write_address_o(write_address), .write_data_o(write_data), .write_error_i(write_error),
    .read_o(read), .read_address_o(read_address), .read_data_i(read_data), .read_error_i(read_error)
  );
  lstm_registers #(
    .Cells(Cells), .Constants(Constants), .Design(Design), .WritableWeights(WritableWeights), .Contexts(Contexts)
  ) u_registers (
    .clk, .rst,
    .write_i(write), .write_address_i(write_address), .write_data_i(write_data), .write_error_o(write_error),
    .read_i(read), .read_address_i(read_address), .read_data_o(read_data), .read_error_o(read_error),
    .soft_reset_o(soft_reset), .enable_o(enable), .keep_o(keep), .start_o(start),
    .started_i(started), .idle_i(idle_q), .running_i(core_busy && !core_reset), .step_i(step), .sequence_i(sequence_end),
    .length_error_i(length_error), .overflow_i(overflow), .head_saturated_i(head_saturated), .saturated_i(saturated),
    .select_o(select), .cell_i(cell_selected), .c_i(c), .context_i(context_selected),
    .memory_i(memory), .words_i(memory_words), .pieces_i(memory_pieces),
    .state_write_o(state_write), .state_read_o(state_read), .load_o(load),
    .state_end_i(state_end), .load_end_i(load_end), .state_data_i(state_data), .constants_i(constants)
  );

  logic [AddressWidth-1:0] state_address;
  logic host_state_write, host_weight_write;
  logic [31:0] host_weight_address, host_data;
  lstm_host #(.Cells(Cells), .HiddenSize(HiddenSize), .OutputSize(OutputSize), .Units(Units)) u_host (
    .clk, .rst(core_reset),
    .words_i(words), .pieces_i(pieces),
    .select_i(select), .cell_i(write_data[CellBits-1:0]), .c_i(write_data[8]), .memory_i(write_data[11:9]),
    .cell_o(cell_selected), .c_o(c), .memory_o(memory), .words_o(memory_words), .pieces_o(memory_pieces),
    .state_write_i(state_write), .state_read_i(state_read), .load_i(load), .data_i(write_data),
    .state_end_o(state_end), .load_end_o(load_end),
    .state_address_o(state_address), .state_write_o(host_state_write),
    .weight_write_o(host_weight_write), .weight_address_o(host_weight_address), .data_o(host_data)
  );

  always_ff @(posedge clk) begin
    if (core_reset) context_selected <= '0;
    else if (select) context_selected <= Contexts > 1 ? write_data[16+:ContextWidth] : '0;
  end

  // A soft reset is that of the core and of the way in; a beat that stands at the output is never withdrawn.
  always_ff @(posedge clk) core_reset <= rst || soft_reset;

  // The way in: elements out of their bytes, sequences through the gate.
  logic [XBits*InElements-1:0] in_bits, in_data, x;
  logic in_last, in_valid, in_ready, x_last, x_valid, x_ready, unused_padding;
  for (genvar i = 0; i < InElements; i++) begin : g_in
    assign in_bits[XBits*i+:XBits] = s_axis_tdata[8*XBytes*i+:XBits];
  end
  assign unused_padding = ^s_axis_tdata;
  localparam int InBits = XBits * InElements + 1 + $clog2(Contexts);  // a single context takes none
  logic [InBits-1:0] in_beat, in_beat_q;
  logic [ContextWidth-1:0] in_id, x_id;
  assign in_beat = InBits'({s_axis_tid, s_axis_tlast, in_bits});
  assign {in_last, in_data} = in_beat_q[XBits*InElements:0];
  assign in_id = Contexts > 1 ? in_beat_q[InBits-1-:ContextWidth] : '0;
  stream_register #(.Width(InBits)) u_in (
    .clk, .rst(core_reset),
    .s_data_i(in_beat), .s_valid_i(s_axis_tvalid), .s_ready_o(s_axis_tready),
    .m_data_o(in_beat_q), .m_valid_o(in_valid), .m_ready_i(in_ready)
  );
  sequence_gate #(
    .Width(XBits * InElements), .Beats((InputSize + InElements - 1) / InElements), .Contexts(Contexts)
  ) u_gate (
    .clk, .rst(core_reset), .enable_i(enable), .start_i(start), .started_o(started), .open_o(open), .step_o(step),
    .s_data_i(in_data), .s_last_i(in_last), .s_id_i(in_id), .s_valid_i(in_valid), .s_ready_o(in_ready),
    .m_data_o(x), .m_last_o(x_last), .m_id_o(x_id), .m_valid_o(x_valid), .m_ready_i(x_ready)
  );

  logic [YBits*OutElements-1:0] y;
  logic y_last, y_valid, y_ready, unused_done;
  logic [ContextWidth-1:0] y_id;
  lstm_stack #(
    .InputSize(InputSize), .HiddenSize(HiddenSize), .ProjSize(ProjSize), .Layers(Layers), .Direction(Direction), .MaxSteps(MaxSteps),
    .LastOnly(LastOnly), .Multipliers(Multipliers),
    .Head(Head), .Classes(Classes), .HeadLanes(HeadLanes), .HeadWeightWidth(HeadWeightWidth),
    .HeadBiasWidth(HeadBiasWidth), .HeadAccWidth(HeadAccWidth), .HeadAccFrac(HeadAccFrac), .ScoreWidth(ScoreWidth),
    .ScoreFrac(ScoreFrac),
    .XWidth(XWidth), .XFrac(XFrac), .XShift(XShift), .HWidth(HWidth), .HShift(HShift), .HFrac(HFrac),
    .WeightWidth(WeightWidth), .BiasWidth(BiasWidth), .AccWidth(AccWidth), .AccFrac(AccFrac), .ZWidth(ZWidth),
    .ZFrac(ZFrac), .ActWidth(ActWidth), .ActFrac(ActFrac), .CellWidth(CellWidth), .CellFrac(CellFrac),
    .TableBits(TableBits), .SlopeWidth(SlopeWidth),
    .Peepholes(Peepholes), .PeepholeWidth(PeepholeWidth), .PeepholeFrac(PeepholeFrac), .GateClip(GateClip),
    .CellClip(CellClip), .ProjMultipliers(ProjMultipliers), .ProjWidth(ProjWidth), .ProjFrac(ProjFrac),
    .ProjWeightWidth(ProjWeightWidth), .ProjBiasWidth(ProjBiasWidth), .ProjAccWidth(ProjAccWidth),
    .ProjAccFrac(ProjAccFrac), .ProjClip(ProjClip), .Files(Files),
    .InElements(InElements), .OutElements(OutElements), .LinkElements(LinkElements),
    .MemoryStages(MemoryStages), .OperandStages(OperandStages), .ProductStages(ProductStages), .SumStages(SumStages),
    .WritableWeights(WritableWeights), .Contexts(Contexts), .Share(Share)
  ) u_stack (
    .clk, .rst(core_reset),
    .s_axis_tdata(x), .s_axis_tvalid(x_valid), .s_axis_tlast(x_last), .s_axis_tid(x_id), .s_axis_tready(x_ready),
    .m_axis_tdata(y), .m_axis_tvalid(y_valid), .m_axis_tlast(y_last), .m_axis_tid(y_id), .m_axis_tready(y_ready),
    .state_cell_i(cell_selected), .state_context_i(context_selected), .state_address_i(state_address), .state_select_i(c),
    .state_write_i(host_state_write), .state_data_i(host_data), .state_data_o(state_data),
    .weight_write_i(host_weight_write), .weight_cell_i(cell_selected), .weight_memory_i(memory),
    .weight_address_i(host_weight_address), .weight_data_i(host_data), .keep_i(keep),
    .busy_o(core_busy), .done_o(unused_done),
    .clear_i(1'b1),  // its flags are single clocks; the registers keep them
    .saturated_o(saturated), .protocol_error_o(length_error), .overflow_o(overflow),
    .head_saturated_o(head_saturated)
  );

  // The way out: elements into their bytes.
  logic [8*YBytes*OutElements-1:0] out_bytes;
  for (genvar i = 0; i < OutElements; i++) begin : g_out
    assign out_bytes[8*YBytes*i+:8*YBytes] = (8 * YBytes)'($signed(y[YBits*i+:YBits]));
  end
  localparam int OutBits = 8 * YBytes * OutElements + 1 + $clog2(Contexts);
  logic [OutBits-1:0] out_beat, out_beat_q;
  assign out_beat = OutBits'({y_id, y_last, out_bytes});
  assign {m_axis_tlast, m_axis_tdata} = out_beat_q[8*YBytes*OutElements:0];
  assign m_axis_tid = Contexts > 1 ? out_beat_q[OutBits-1-:ContextWidth] : '0;
  stream_register #(.Width(OutBits)) u_out (
    .clk, .rst,
    .s_data_i(out_beat), .s_valid_i(y_valid && !core_reset), .s_ready_o(y_ready),
    .m_data_o(out_beat_q), .m_valid_o(m_axis_tvalid), .m_ready_i(m_axis_tready)
  );

  // Idle: the gate is shut and nothing is under way, for long enough that nothing can be between two modules.
  logic quiet;
  logic [QuietClocks-1:0] quiet_q;
  assign quiet = !enable && !start && !started && !open && !core_busy && !core_reset;
  always_ff @(posedge clk) begin
    quiet_q <= {quiet_q[QuietClocks-2:0], quiet};
    idle_q <= quiet && quiet_q == '1;
    sequence_end <= m_axis_tvalid && m_axis_tready && m_axis_tlast;
  end
endmodule
`default_nettype wire
