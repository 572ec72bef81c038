// A pre-activation that sees the cell state: z = saturate(round_shift(sum + p * c)), one rounding of the exact sum.
//
// Golden model: "Peepholes" in docs/fixed-point.md. `sum_i` comes OperandStages + ProductStages after `cell_i` and
// `weight_i`. Latency from `sum_i`: 3 * SumStages. Throughput: one per clock.
`default_nettype none
module peephole #(
  parameter int SumWidth = 32,
  parameter int SumFrac = 22,
  parameter int CellWidth = 18,
  parameter int CellFrac = 14,
  parameter int WeightWidth = 8,
  parameter int WeightFrac = 6,
  parameter int ZWidth = 16,
  parameter int ZFrac = 12,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1
) (
  input  wire logic                   clk,
  input  wire logic [CellWidth-1:0]   cell_i,
  input  wire logic [WeightWidth-1:0] weight_i,
  input  wire logic [SumWidth-1:0]    sum_i,
  output logic      [ZWidth-1:0]      z_o,
  output logic                        saturated_o
);
  localparam int ProductWidth = CellWidth + WeightWidth;
  localparam int ProductFrac = CellFrac + WeightFrac;
  localparam int SumShift = ProductFrac > SumFrac ? ProductFrac - SumFrac : 0;
  localparam int ProductShift = SumFrac > ProductFrac ? SumFrac - ProductFrac : 0;
  localparam int TotalWidth =
    (SumWidth + SumShift > ProductWidth + ProductShift ? SumWidth + SumShift : ProductWidth + ProductShift) + 1;
  localparam int TotalFrac = SumFrac + SumShift;

  logic signed [CellWidth-1:0] state;
  logic signed [WeightWidth-1:0] weight;
  logic signed [ProductWidth-1:0] product;
  logic [ProductWidth-1:0] product_q;
  logic [TotalWidth-1:0] total, total_q;
  delay #(.Width(CellWidth + WeightWidth), .Stages(OperandStages)) u_operands (
    .clk, .rst(1'b0), .data_i({cell_i, weight_i}), .data_o({state, weight})
  );
  assign product = state * weight;
  delay #(.Width(ProductWidth), .Stages(ProductStages)) u_product (
    .clk, .rst(1'b0), .data_i(product), .data_o(product_q)
  );
  assign total = (TotalWidth'($signed(sum_i)) << SumShift) + (TotalWidth'($signed(product_q)) << ProductShift);
  delay #(.Width(TotalWidth), .Stages(SumStages)) u_total (.clk, .rst(1'b0), .data_i(total), .data_o(total_q));
  saturate_round #(.InWidth(TotalWidth), .Shift(TotalFrac - ZFrac), .OutWidth(ZWidth), .Stages(SumStages)) u_z (
    .clk, .value_i(total_q), .base_i('0), .value_o(z_o), .saturated_o
  );
endmodule
`default_nettype wire
