// round_shift and saturate of docs/fixed-point.md: the only place where a number loses bits.
//
// value_o = saturate(round_shift(value_i, Shift), OutWidth), half rounds up, a negative Shift goes left;
// saturated_o says that the bound was applied. Latency: Stages, 0 or 1 (a register between rounding and saturation).
`default_nettype none
module saturate_round #(
  parameter int InWidth = 32,
  parameter int Shift = 8,
  parameter int OutWidth = 16,
  parameter int Stages = 0
) (
  input  wire logic                clk,
  input  wire logic [InWidth-1:0]  value_i,
  output logic      [OutWidth-1:0] value_o,
  output logic                     saturated_o
);
  localparam int Right = Shift > 0 ? Shift : 0;
  localparam int Left = Shift < 0 ? -Shift : 0;
  localparam int WideWidth = (InWidth > Right ? InWidth : Right) + 1 + Left;
  localparam int RoundedWidth = WideWidth - Right;

  logic [WideWidth-1:0] wide;
  logic [RoundedWidth-1:0] rounded, rounded_q;
  assign wide = WideWidth'($signed(value_i)) << Left;
  if (Right > 0) begin : g_round
    // The bit below the cut is the carry of "add one half": only the kept bits need an adder.
    assign rounded = wide[WideWidth-1:Right] + RoundedWidth'(wide[Right-1]);
  end else begin : g_exact
    assign rounded = wide;
  end
  if (Right > 1) begin : g_dropped
    logic unused_dropped;
    assign unused_dropped = ^wide[Right-2:0];
  end
  delay #(.Width(RoundedWidth), .Stages(Stages)) u_rounded (.clk, .rst(1'b0), .data_i(rounded), .data_o(rounded_q));

  if (RoundedWidth > OutWidth) begin : g_saturate
    logic sign;
    assign sign = rounded_q[RoundedWidth-1];
    assign saturated_o = rounded_q[RoundedWidth-1:OutWidth-1] != {(RoundedWidth - OutWidth + 1) {sign}};
    assign value_o = saturated_o ? {sign, {(OutWidth - 1) {!sign}}} : rounded_q[OutWidth-1:0];
  end else begin : g_fits
    assign saturated_o = 1'b0;
    assign value_o = OutWidth'($signed(rounded_q));
  end
endmodule
`default_nettype wire
