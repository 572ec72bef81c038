// The pre-activation of one gate: z = saturate(round_shift(sum + bias)), with p * c in the sum where the gate sees c.
//
// Golden model: "One step" and "Peepholes" in docs/fixed-point.md. Latency from `sum_i` and `bias_i`: 1 + 3 * SumStages +
// Wait, and with a peephole 1 + 4 * SumStages + SumWait. Throughput: one per clock.
`default_nettype none
module preactivation #(
  parameter int AccWidth = 32,
  parameter int AccFrac = 22,
  parameter int BiasWidth = 24,
  parameter int ZWidth = 16,
  parameter int ZFrac = 12,
  parameter bit Peephole = 1'b0,
  parameter int CellWidth = 18,
  parameter int CellFrac = 14,
  parameter int WeightWidth = 8,  // of the peephole
  parameter int WeightFrac = 6,
  parameter int WeightWait = 0,   // clocks by which weight, c and sum are delayed to meet
  parameter int CellWait = 0,
  parameter int SumWait = 0,
  parameter int Wait = 0,         // of z without a peephole, for gates that have one
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1
) (
  input  wire logic                   clk,
  input  wire logic [AccWidth-1:0]    sum_i,
  input  wire logic [BiasWidth-1:0]   bias_i,
  input  wire logic [CellWidth-1:0]   cell_i,
  input  wire logic [WeightWidth-1:0] weight_i,
  output logic      [ZWidth-1:0]      z_o,
  output logic                        saturated_o
);
  logic [AccWidth-1:0] sum, sum_q;
  logic [ZWidth-1:0] z;
  logic saturated;
  assign sum = sum_i + AccWidth'($signed(bias_i));
  delay #(.Width(AccWidth), .Stages(SumStages)) u_sum (.clk, .rst(1'b0), .data_i(sum), .data_o(sum_q));
  if (Peephole) begin : g_peephole
    logic [AccWidth-1:0] sum_late;
    logic [WeightWidth-1:0] weight;
    logic [CellWidth-1:0] seen;
    delay #(.Width(AccWidth), .Stages(SumWait)) u_sum_late (.clk, .rst(1'b0), .data_i(sum_q), .data_o(sum_late));
    delay #(.Width(WeightWidth), .Stages(WeightWait)) u_weight (.clk, .rst(1'b0), .data_i(weight_i), .data_o(weight));
    delay #(.Width(CellWidth), .Stages(CellWait)) u_seen (.clk, .rst(1'b0), .data_i(cell_i), .data_o(seen));
    peephole #(
      .SumWidth(AccWidth), .SumFrac(AccFrac), .CellWidth(CellWidth), .CellFrac(CellFrac),
      .WeightWidth(WeightWidth), .WeightFrac(WeightFrac), .ZWidth(ZWidth), .ZFrac(ZFrac),
      .OperandStages(OperandStages), .ProductStages(ProductStages), .SumStages(SumStages)
    ) u_z (.clk, .cell_i(seen), .weight_i(weight), .sum_i(sum_late), .z_o(z), .saturated_o(saturated));
  end else begin : g_plain
    logic [ZWidth-1:0] z_d;
    logic saturated_d, unused_peephole;
    assign unused_peephole = ^{cell_i, weight_i};
    saturate_round #(.InWidth(AccWidth), .Shift(AccFrac - ZFrac), .OutWidth(ZWidth), .Stages(SumStages)) u_z (
      .clk, .value_i(sum_q), .base_i('0), .value_o(z_d), .saturated_o(saturated_d)
    );
    delay #(.Width(ZWidth + 1), .Stages(Wait)) u_wait (
      .clk, .rst(1'b0), .data_i({z_d, saturated_d}), .data_o({z, saturated})
    );
  end
  delay #(.Width(ZWidth + 1), .Stages(1)) u_z_q (
    .clk, .rst(1'b0), .data_i({z, saturated}), .data_o({z_o, saturated_o})
  );
endmodule
`default_nettype wire
