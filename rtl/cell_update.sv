// The new cell state: c' = saturate(round_shift(f * c + i * g)), and its clip.
//
// Golden model: "One step" in docs/fixed-point.md. Latency: 1 + ProductStages + 3 * SumStages, and SumStages more with a
// clip. Throughput: one per clock.
`default_nettype none
module cell_update #(
  parameter int ActWidth = 18,
  parameter int ActFrac = 16,
  parameter int CellWidth = 18,
  parameter int CellFrac = 14,
  parameter int Clip = 0,  // bound on the magnitude of c, as a code; 0 for none
  parameter int ProductStages = 3,
  parameter int SumStages = 1
) (
  input  wire logic                        clk,
  input  wire logic signed [ActWidth-1:0]  gate_i_i,
  input  wire logic signed [ActWidth-1:0]  gate_f_i,
  input  wire logic signed [ActWidth-1:0]  gate_g_i,
  input  wire logic signed [CellWidth-1:0] cell_i,
  output logic             [CellWidth-1:0] cell_o,
  output logic                             saturated_o
);
  // Both products are brought to the finer of their fractions.
  localparam int KeepShift = ActFrac > CellFrac ? ActFrac - CellFrac : 0;
  localparam int AddShift = CellFrac > ActFrac ? CellFrac - ActFrac : 0;
  localparam int KeepWidth = ActWidth + CellWidth;
  localparam int AddWidth = 2 * ActWidth;
  localparam int MixWidth = (KeepWidth + KeepShift > AddWidth + AddShift ? KeepWidth + KeepShift : AddWidth + AddShift) + 1;
  localparam int MixShift = (ActFrac > CellFrac ? ActFrac : CellFrac) + ActFrac - CellFrac;
  logic signed [KeepWidth-1:0] keep;
  logic signed [AddWidth-1:0] add;
  logic [KeepWidth-1:0] keep_q;
  logic [AddWidth-1:0] add_q;
  logic [MixWidth-1:0] mix, mix_q;
  logic [CellWidth-1:0] rounded;
  logic saturated;
  assign keep = gate_f_i * cell_i;
  assign add = gate_i_i * gate_g_i;
  delay #(.Width(KeepWidth), .Stages(ProductStages)) u_keep (.clk, .rst(1'b0), .data_i(keep), .data_o(keep_q));
  delay #(.Width(AddWidth), .Stages(ProductStages)) u_add (.clk, .rst(1'b0), .data_i(add), .data_o(add_q));
  assign mix = (MixWidth'($signed(keep_q)) << KeepShift) + (MixWidth'($signed(add_q)) << AddShift);
  delay #(.Width(MixWidth), .Stages(SumStages)) u_mix (.clk, .rst(1'b0), .data_i(mix), .data_o(mix_q));
  saturate_round #(.InWidth(MixWidth), .Shift(MixShift), .OutWidth(CellWidth), .Stages(SumStages)) u_round (
    .clk, .value_i(mix_q), .base_i('0), .value_o(rounded), .saturated_o(saturated)
  );
  clip #(.Width(CellWidth), .Bound(Clip), .Stages(SumStages)) u_clip (
    .clk, .value_i(rounded), .saturated_i(saturated), .value_o(cell_o), .saturated_o
  );
endmodule
`default_nettype wire
