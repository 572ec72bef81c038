// One unit of the cell: from the sums of its four gates and c to the new c and h.
//
// Golden model: "One step" in docs/fixed-point.md. `rows_i` comes MemoryStages + 2 * SumStages after `read_i`.
// Latency from `read_i` to `h_o`: 5 + 3 * MemoryStages + 4 * OperandStages + 4 * ProductStages +
// 17 * SumStages, and more with peepholes or a clip: EarlyStages, LateStages, ClipStages. Throughput: one per clock.
`default_nettype none
module lstm_pointwise #(
  parameter int HiddenSize = 64,
  parameter int First = 0,   // this pipeline has units First, First + Stride, …
  parameter int Stride = 1,
  parameter int HWidth = 16,
  parameter int HFrac = 15,
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
  parameter BiasFile = "",
  parameter SigmoidFile = "",
  parameter TanhFile = "",        // of the candidate
  parameter OutputFile = "",      // of c in the output
  parameter int Peepholes = 0,    // gates that see c: 1 for i, 2 for f, 4 for o, added up
  parameter int PeepholeWidth = 8,
  parameter int PeepholeFrac = 6,
  parameter PeepholeFile = "",
  parameter bit GateClip = 1'b0,  // the tables clip z, so that its saturation is no event
  parameter int CellClip = 0,     // bound on the magnitude of c, as a code; 0 for none
  parameter int MemoryStages = 3,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,
  parameter int Contexts = 1,     // a power of two
  parameter int WeightSets = 1,   // of biases and peephole weights; above 1, one for each context
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int Groups = (HiddenSize + Stride - 1) / Stride,
  localparam int GroupWidth = Groups > 1 ? $clog2(Groups) : 1
) (
  input  wire logic                  clk,
  input  wire logic                  rst,
  input  wire logic                  read_i,
  input  wire logic [GroupWidth-1:0] group_i,
  input  wire logic                  initial_i,      // take c0 for c
  input  wire logic [ContextWidth-1:0] context_i,    // whose c
  input  wire logic [4*AccWidth-1:0] rows_i,         // {o, g, f, i}
  // Cell states, for the host while no step is under way.
  input  wire logic                  host_i,
  input  wire logic                  host_write_i,   // c0
  input  wire logic [GroupWidth-1:0] host_group_i,
  input  wire logic [ContextWidth-1:0] host_context_i,
  input  wire logic [CellWidth-1:0]  host_data_i,
  output logic      [CellWidth-1:0]  host_data_o,    // c, MemoryStages after host_group_i
  // Biases and peephole weights, for the host likewise.
  input  wire logic                  bias_write_i,
  input  wire logic                  peephole_write_i,
  input  wire logic [ContextWidth-1:0] bias_context_i,
  input  wire logic [31:0]           bias_address_i,  // {unit, piece}
  input  wire logic [31:0]           bias_data_i,
  output logic                       h_valid_o,
  output logic      [HWidth-1:0]     h_o,
  output logic      [2:0]            saturated_o     // z, c, h: each at its own time
);
  localparam int RowsAt = MemoryStages + 2 * SumStages;                       // clocks after read_i
  // Where i or f see c, their sums meet the products at PeepholeAt; o's product waits for the new c.
  localparam int ProductLatency = OperandStages + ProductStages;
  localparam bit Early = Peepholes % 4 != 0;
  localparam bit Late = Peepholes / 4 % 2 != 0;
  localparam int PeepholeAt = MemoryStages + (ProductLatency > 3 * SumStages ? ProductLatency : 3 * SumStages);
  localparam int EarlyStages = Early ? PeepholeAt - RowsAt : 0;
  localparam int LateStages = Late ? ProductLatency + 1 : 0;
  localparam int ClipStages = CellClip > 0 ? SumStages : 0;
  localparam int ZAt = RowsAt + EarlyStages + 1 + 3 * SumStages;
  localparam int ActivationLatency = 1 + MemoryStages + 2 * OperandStages + ProductStages + 2 * SumStages;
  localparam int GatesAt = ZAt + ActivationLatency;
  localparam int CellAt = GatesAt + ProductStages + 3 * SumStages + ClipStages + 1;
  localparam int LateZAt = CellAt + ProductLatency + 3 * SumStages + 1;
  localparam int TanhAt = CellAt + 3 * SumStages + ActivationLatency;
  localparam int HAt = TanhAt + LateStages + ProductStages + 2 * SumStages + 1;

  localparam int CellReadAt = GatesAt - MemoryStages - OperandStages - SumStages;

  // Valid and group, at every clock of the pipeline.
  logic present;
  logic [HAt:0] valid;
  logic [HAt-1:0] valid_q;
  assign present = read_i && int'(group_i) * Stride + First < HiddenSize;
  always_ff @(posedge clk) begin
    if (rst) valid_q <= '0;
    else valid_q <= valid[HAt-1:0];
  end
  assign valid = {valid_q, present};
  assign h_valid_o = valid[HAt];

  // z = saturate(round_shift(acc + bias))
  localparam int Units = HiddenSize;
  localparam int UnitWidth = Units > 1 ? $clog2(Units) : 1;
  logic [UnitWidth-1:0] unit;
  logic [4*BiasWidth-1:0] bias_read, bias;
  assign unit = UnitWidth'(int'(group_i) * Stride + First);  // beyond the last, nothing comes of it
  // Sets of them follow each other, all but the last filled up to a power of two.
  localparam int BiasDepth = (WeightSets - 1) * 2 ** UnitWidth + Units;
  localparam int BiasAddressWidth = UnitWidth + $clog2(WeightSets);
  logic [BiasAddressWidth-1:0] bias_address;
  logic [31:0] write_address;
  assign bias_address = BiasAddressWidth'({context_i, unit});
  assign write_address = bias_address_i | (WeightSets > 1 ? 32'(bias_context_i) << (UnitWidth + 12) : '0);
  rom #(
    .Width(4 * BiasWidth), .Depth(BiasDepth), .Latency(MemoryStages), .File(BiasFile), .Writable(WritableWeights)
  ) u_bias (
    .clk, .read_i, .address_i(bias_address), .data_o(bias_read),
    .write_i(bias_write_i), .write_address_i(write_address), .write_data_i(bias_data_i)
  );
  delay #(.Width(4 * BiasWidth), .Stages(2 * SumStages)) u_bias_q (.clk, .rst(1'b0), .data_i(bias_read), .data_o(bias));

  // Peephole weights {o, f, i}, and c as it was before the step
  logic [CellWidth-1:0] cell_new, cell_early;
  logic [3*PeepholeWidth-1:0] peepholes;
  logic unused_peepholes;  // of gates that have none
  assign unused_peepholes = &{1'b0, peepholes, cell_early};
  if (Peepholes != 0) begin : g_peepholes
    rom #(
      .Width(3 * PeepholeWidth), .Depth(BiasDepth), .Latency(MemoryStages), .File(PeepholeFile), .Writable(WritableWeights)
    ) u_weights (
      .clk, .read_i, .address_i(bias_address), .data_o(peepholes),
      .write_i(peephole_write_i), .write_address_i(write_address), .write_data_i(bias_data_i)
    );
  end else begin : g_no_peepholes
    logic unused_write;
    assign unused_write = peephole_write_i;
    assign peepholes = '0;
  end

  logic [3:0] z_saturated;
  logic [4*ActWidth-1:0] gates;  // {o, g, f, i}
  for (genvar gate = 0; gate < 4; gate++) begin : g_gate
    localparam bit Sees = gate == 3 ? Late : gate < 2 && Peepholes / (gate + 1) % 2 != 0;
    localparam int TableAt = (gate == 3 && Late ? LateZAt : ZAt) + SumStages;
    localparam int Slack = PeepholeAt - MemoryStages - ProductLatency;  // of an old c and its weight before the sum
    logic [ZWidth-1:0] z;
    preactivation #(
      .AccWidth(AccWidth), .AccFrac(AccFrac), .BiasWidth(BiasWidth), .ZWidth(ZWidth), .ZFrac(ZFrac),
      .Peephole(Sees), .CellWidth(CellWidth), .CellFrac(CellFrac), .WeightWidth(PeepholeWidth), .WeightFrac(PeepholeFrac),
      .WeightWait(gate == 3 ? CellAt - MemoryStages : Slack),
      .CellWait(gate == 3 ? 0 : Slack),
      .SumWait((gate == 3 ? CellAt + ProductLatency : PeepholeAt) - RowsAt - SumStages),
      .Wait(EarlyStages),
      .OperandStages(OperandStages), .ProductStages(ProductStages), .SumStages(SumStages)
    ) u_z (
      .clk,
      .sum_i(rows_i[gate*AccWidth+:AccWidth]),
      .bias_i(bias[gate*BiasWidth+:BiasWidth]),
      .cell_i(gate == 3 ? cell_new : cell_early),
      .weight_i(peepholes[(gate==3?2:gate)*PeepholeWidth+:PeepholeWidth]),
      .z_o(z),
      .saturated_o(z_saturated[gate])
    );
    if (gate == 2) begin : g_tanh
      activation #(
        .ZWidth(ZWidth), .ActWidth(ActWidth), .ActFrac(ActFrac), .TableBits(TableBits), .SlopeWidth(SlopeWidth),
        .Odd(1'b1), .File(TanhFile),
        .MemoryStages(MemoryStages), .OperandStages(OperandStages), .ProductStages(ProductStages), .SumStages(SumStages)
      ) u_activation (.clk, .z_i(z), .read_i(valid[TableAt]), .a_o(gates[gate*ActWidth+:ActWidth]));
    end else begin : g_sigmoid
      activation #(
        .ZWidth(ZWidth), .ActWidth(ActWidth), .ActFrac(ActFrac), .TableBits(TableBits), .SlopeWidth(SlopeWidth),
        .Odd(1'b0), .File(SigmoidFile),
        .MemoryStages(MemoryStages), .OperandStages(OperandStages), .ProductStages(ProductStages), .SumStages(SumStages)
      ) u_activation (.clk, .z_i(z), .read_i(valid[TableAt]), .a_o(gates[gate*ActWidth+:ActWidth]));
    end
  end

  // Cell states: words of c, then words of c0, of each context. A single context takes no bit of an address.
  localparam int PlaceWidth = GroupWidth + $clog2(Contexts);
  logic [PlaceWidth-1:0] place, host_place, read_place, write_place;
  logic read_initial;
  logic [CellWidth-1:0] cell_read;
  assign place = PlaceWidth'({context_i, group_i});
  assign host_place = PlaceWidth'({host_context_i, host_group_i});
  delay #(.Width(PlaceWidth + 1), .Stages(CellReadAt)) u_read_place (
    .clk, .rst(1'b0), .data_i({initial_i, place}), .data_o({read_initial, read_place})
  );
  delay #(.Width(PlaceWidth), .Stages(CellAt - CellReadAt)) u_write_place (
    .clk, .rst(1'b0), .data_i(read_place), .data_o(write_place)
  );
  logic cell_read_q;
  always_ff @(posedge clk) cell_read_q <= host_i || valid[CellReadAt-1];
  ram #(.Width(CellWidth), .Depth(2 ** (PlaceWidth + 1)), .Latency(MemoryStages)) u_cells (
    .clk,
    .write_i(host_i ? host_write_i : valid[CellAt]),
    .write_address_i(host_i ? {1'b1, host_place} : {1'b0, write_place}),
    .write_data_i(host_i ? host_data_i : cell_new),
    .read_i(cell_read_q),
    .read_address_i(host_i ? {1'b0, host_place} : {read_initial, read_place}),
    .read_data_o(cell_read)
  );
  assign host_data_o = cell_read;
  if (Early) begin : g_early
    ram #(.Width(CellWidth), .Depth(2 ** (PlaceWidth + 1)), .Latency(MemoryStages)) u_cells_early (
      .clk,
      .write_i(host_i ? host_write_i : valid[CellAt]),
      .write_address_i(host_i ? {1'b1, host_place} : {1'b0, write_place}),
      .write_data_i(host_i ? host_data_i : cell_new),
      .read_i,
      .read_address_i({initial_i, place}),
      .read_data_o(cell_early)
    );
  end else begin : g_no_early
    assign cell_early = '0;
  end

  // The new c
  logic [CellWidth-1:0] cell_old;
  logic cell_saturated;
  delay #(.Width(CellWidth), .Stages(OperandStages + SumStages)) u_cell_old (
    .clk, .rst(1'b0), .data_i(cell_read), .data_o(cell_old)
  );
  cell_update #(
    .ActWidth(ActWidth), .ActFrac(ActFrac), .CellWidth(CellWidth), .CellFrac(CellFrac), .Clip(CellClip),
    .ProductStages(ProductStages), .SumStages(SumStages)
  ) u_cell (
    .clk,
    .gate_i_i(gates[0+:ActWidth]),
    .gate_f_i(gates[ActWidth+:ActWidth]),
    .gate_g_i(gates[2*ActWidth+:ActWidth]),
    .cell_i(cell_old),
    .cell_o(cell_new),
    .saturated_o(cell_saturated)
  );

  // h' = saturate(round_shift(o * tanh(c')))
  logic [ZWidth-1:0] zc, zc_q;
  logic zc_saturated_d, zc_saturated;
  logic [ActWidth-1:0] squashed_d;
  logic signed [ActWidth-1:0] squashed, output_gate;
  saturate_round #(.InWidth(CellWidth), .Shift(CellFrac - ZFrac), .OutWidth(ZWidth), .Stages(SumStages)) u_zc (
    .clk, .value_i(cell_new), .base_i('0), .value_o(zc), .saturated_o(zc_saturated_d)
  );
  delay #(.Width(ZWidth + 1), .Stages(SumStages)) u_zc_q (
    .clk, .rst(1'b0), .data_i({zc, zc_saturated_d}), .data_o({zc_q, zc_saturated})
  );
  activation #(
    .ZWidth(ZWidth), .ActWidth(ActWidth), .ActFrac(ActFrac), .TableBits(TableBits), .SlopeWidth(SlopeWidth),
    .Odd(1'b1), .File(OutputFile),
    .MemoryStages(MemoryStages), .OperandStages(OperandStages), .ProductStages(ProductStages), .SumStages(SumStages)
  ) u_squash (.clk, .z_i(zc_q), .read_i(valid[CellAt+4*SumStages]), .a_o(squashed_d));
  delay #(.Width(ActWidth), .Stages(LateStages)) u_squashed (
    .clk, .rst(1'b0), .data_i(squashed_d), .data_o(squashed)
  );
  delay #(.Width(ActWidth), .Stages(Late ? 0 : TanhAt - GatesAt)) u_output_gate (
    .clk, .rst(1'b0), .data_i(gates[3*ActWidth+:ActWidth]), .data_o(output_gate)
  );

  logic signed [2*ActWidth-1:0] product;
  logic [2*ActWidth-1:0] product_q;
  logic [HWidth-1:0] h_d;
  logic h_saturated_d, h_saturated;
  assign product = output_gate * squashed;
  delay #(.Width(2 * ActWidth), .Stages(ProductStages)) u_product (
    .clk, .rst(1'b0), .data_i(product), .data_o(product_q)
  );
  saturate_round #(.InWidth(2 * ActWidth), .Shift(2 * ActFrac - HFrac), .OutWidth(HWidth), .Stages(SumStages)) u_h (
    .clk, .value_i(product_q), .base_i('0), .value_o(h_d), .saturated_o(h_saturated_d)
  );
  delay #(.Width(HWidth + 1), .Stages(1)) u_h_q (
    .clk, .rst(1'b0), .data_i({h_d, h_saturated_d}), .data_o({h_o, h_saturated})
  );

  assign saturated_o = {
    (!GateClip && ((valid[ZAt] && z_saturated[2:0] != '0) || (valid[Late?LateZAt:ZAt] && z_saturated[3])))
      || (valid[CellAt+3*SumStages] && zc_saturated),
    valid[CellAt] && cell_saturated,
    valid[HAt] && h_saturated
  };
endmodule
`default_nettype wire
