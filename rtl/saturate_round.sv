// round_shift and saturate of docs/fixed-point.md: the only place where a number loses bits.
//
// value_o = saturate(base_i + round_shift(value_i, Shift), OutWidth), half rounds up, a negative Shift goes left;
// saturated_o says that the bound was applied. Adding a base costs no more than the rounding does.
// Latency: 2 * Stages, Stages 0 or 1 (registers after the sum and after the comparison). Throughput: one per clock.
`default_nettype none
module saturate_round #(
  parameter int InWidth = 32,
  parameter int Shift = 8,
  parameter int OutWidth = 16,
  parameter int Stages = 0,
  parameter bit Bounded = 1'b1  // 0: the result is known to fit, nothing is checked
) (
  input  wire logic                clk,
  input  wire logic [InWidth-1:0]  value_i,
  input  wire logic [OutWidth-1:0] base_i,
  output logic      [OutWidth-1:0] value_o,
  output logic                     saturated_o
);
  localparam int Right = Shift > 0 ? Shift : 0;
  localparam int Left = Shift < 0 ? -Shift : 0;
  // Bits of the shifted value, at least one; with the carries of rounding and of the base.
  localparam int ShiftedWidth = InWidth + Left > Right ? InWidth + Left - Right : 1;
  localparam int RoundedWidth = (ShiftedWidth > OutWidth ? ShiftedWidth : OutWidth) + 2;

  logic [RoundedWidth-1:0] base, rounded, rounded_q;
  assign base = RoundedWidth'($signed(base_i));
  if (Right > 0) begin : g_round
    // Half of the last bit kept is added as the carry into a sum that is one bit longer.
    localparam int HalvesWidth = RoundedWidth + 1;
    logic [HalvesWidth-1:0] halves, sum;
    logic unused_half;
    if (InWidth >= Right) begin : g_cut
      assign halves = HalvesWidth'($signed(value_i[InWidth-1:Right-1]));
    end else begin : g_sign
      assign halves = {HalvesWidth{value_i[InWidth-1]}};
    end
    assign sum = {base, 1'b1} + halves;
    assign rounded = sum[HalvesWidth-1:1];
    assign unused_half = sum[0];
    if (Right > 1) begin : g_dropped
      logic unused_dropped;
      assign unused_dropped = ^value_i[(Right-2<InWidth?Right-2:InWidth-1):0];
    end
  end else begin : g_exact
    assign rounded = base + (RoundedWidth'($signed(value_i)) << Left);
  end
  delay #(.Width(RoundedWidth), .Stages(Stages)) u_rounded (.clk, .rst(1'b0), .data_i(rounded), .data_o(rounded_q));

  if (Bounded) begin : g_bounded
    logic sign;
    (* keep *) logic beyond;  // kept as one signal: else every output bit gets its own copy of the comparison
    logic sign_q, beyond_q;
    logic [OutWidth-1:0] kept_q;
    assign sign = rounded_q[RoundedWidth-1];
    assign beyond = rounded_q[RoundedWidth-1:OutWidth-1] != {(RoundedWidth - OutWidth + 1) {sign}};
    delay #(.Width(OutWidth + 2), .Stages(Stages)) u_compared (
      .clk, .rst(1'b0), .data_i({sign, beyond, rounded_q[OutWidth-1:0]}), .data_o({sign_q, beyond_q, kept_q})
    );
    assign saturated_o = beyond_q;
    assign value_o = beyond_q ? {sign_q, {(OutWidth - 1) {!sign_q}}} : kept_q;
  end else begin : g_fits
    logic unused_bits;
    assign unused_bits = ^rounded_q[RoundedWidth-1:OutWidth];
    assign saturated_o = 1'b0;
    delay #(.Width(OutWidth), .Stages(Stages)) u_kept (
      .clk, .rst(1'b0), .data_i(rounded_q[OutWidth-1:0]), .data_o(value_o)
    );
  end
endmodule
`default_nettype wire
