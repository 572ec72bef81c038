// Sigmoid or tanh of a fixed-point number: a table over |z|, linear interpolation, and the function's symmetry.
//
// Golden model: "Activations" in docs/fixed-point.md. A table word is {slope, value}.
// Latency: 1 + MemoryStages + ProductStages + 2 * SumStages. Throughput: one per clock.
`default_nettype none
module activation #(
  parameter int ZWidth = 16,
  parameter int ActWidth = 18,
  parameter int ActFrac = 16,
  parameter int TableBits = 8,
  parameter int SlopeWidth = 16,
  parameter bit Odd = 1'b0,  // 1: f(-z) = -f(z), as tanh; 0: f(-z) = 1 - f(z), as the sigmoid
  parameter File = "",
  parameter int MemoryStages = 2,
  parameter int ProductStages = 3,
  parameter int SumStages = 1
) (
  input  wire logic                clk,
  input  wire logic [ZWidth-1:0]   z_i,
  output logic      [ActWidth-1:0] a_o
);
  localparam int IndexWidth = TableBits < ZWidth - 1 ? TableBits : ZWidth - 1;
  localparam int RestWidth = ZWidth - 1 - IndexWidth;  // position within a segment, in bits

  // |z|, where the most negative code has the magnitude of the most positive one.
  logic negative;
  logic [ZWidth-2:0] magnitude;
  always_comb begin
    magnitude = z_i[ZWidth-2:0];
    if (z_i[ZWidth-1]) magnitude = z_i[ZWidth-2:0] == '0 ? '1 : ~z_i[ZWidth-2:0] + (ZWidth - 1)'(1);
  end
  logic [ZWidth-2:0] magnitude_q;
  delay #(.Width(ZWidth - 1), .Stages(SumStages)) u_magnitude (
    .clk, .rst(1'b0), .data_i(magnitude), .data_o(magnitude_q)
  );
  delay #(.Width(1), .Stages(2 * SumStages + MemoryStages + ProductStages)) u_negative (
    .clk, .rst(1'b0), .data_i(z_i[ZWidth-1]), .data_o(negative)
  );

  logic [SlopeWidth+ActWidth-1:0] entry;
  rom #(.Width(SlopeWidth + ActWidth), .Depth(2 ** IndexWidth), .Latency(MemoryStages), .File(File)) u_table (
    .clk, .address_i(magnitude_q[ZWidth-2-:IndexWidth]), .data_o(entry)
  );

  // The part that depends on the position within the segment.
  localparam int RiseWidth = SlopeWidth + 1;
  logic [RiseWidth-1:0] rise;
  logic [ActWidth-1:0] value;
  if (RestWidth > 0) begin : g_interpolate
    localparam int ProductWidth = SlopeWidth + RestWidth + 1;
    logic [RestWidth-1:0] rest;
    logic [ProductWidth-1:0] product, product_q;
    logic unused_saturated;
    delay #(.Width(RestWidth), .Stages(MemoryStages)) u_rest (
      .clk, .rst(1'b0), .data_i(magnitude_q[RestWidth-1:0]), .data_o(rest)
    );
    assign product = ProductWidth'($signed(entry[ActWidth+:SlopeWidth])) * ProductWidth'($signed({1'b0, rest}));
    delay #(.Width(ProductWidth), .Stages(ProductStages)) u_product (
      .clk, .rst(1'b0), .data_i(product), .data_o(product_q)
    );
    saturate_round #(.InWidth(ProductWidth), .Shift(RestWidth), .OutWidth(RiseWidth), .Stages(0)) u_rise (
      .clk, .value_i(product_q), .value_o(rise), .saturated_o(unused_saturated)
    );
  end else begin : g_exact
    logic unused_slope;
    assign unused_slope = ^entry[ActWidth+:SlopeWidth];
    assign rise = '0;
  end
  delay #(.Width(ActWidth), .Stages(ProductStages)) u_value (
    .clk, .rst(1'b0), .data_i(entry[ActWidth-1:0]), .data_o(value)
  );

  logic [RiseWidth-1:0] rise_q;
  logic [ActWidth-1:0] value_q;
  delay #(.Width(RiseWidth), .Stages(SumStages)) u_rise_q (.clk, .rst(1'b0), .data_i(rise), .data_o(rise_q));
  delay #(.Width(ActWidth), .Stages(SumStages)) u_value_q (.clk, .rst(1'b0), .data_i(value), .data_o(value_q));

  // f(-z) = Mirror - f(z)
  localparam logic [ActWidth-1:0] Mirror = Odd ? '0 : ActWidth'(1) << ActFrac;
  logic [ActWidth-1:0] rise_wide;
  assign rise_wide = ActWidth'($signed(rise_q));
  always_ff @(posedge clk) a_o <= negative ? Mirror - value_q - rise_wide : value_q + rise_wide;
endmodule
`default_nettype wire
