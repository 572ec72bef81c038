// Sigmoid or tanh of a fixed-point number: a table over |z|, linear interpolation, and the function's symmetry.
//
// Golden model: "Activations" in docs/fixed-point.md. A table word is {slope, value}.
// Latency: 1 + MemoryStages + 2 * OperandStages + ProductStages + 2 * SumStages. Throughput: one per clock.
// The last OperandStages of them let multipliers take the result from a plain register.
`default_nettype none
module activation #(
  parameter int ZWidth = 16,
  parameter int ActWidth = 18,
  parameter int ActFrac = 16,
  parameter int TableBits = 8,
  parameter int SlopeWidth = 16,
  parameter bit Odd = 1'b0,  // 1: f(-z) = -f(z), as tanh; 0: f(-z) = 1 - f(z), as the sigmoid
  parameter File = "",
  parameter int MemoryStages = 3,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1
) (
  input  wire logic                clk,
  input  wire logic [ZWidth-1:0]   z_i,
  input  wire logic                read_i,  // SumStages after z_i: the table is read for it
  output logic      [ActWidth-1:0] a_o
);
  localparam int IndexWidth = TableBits < ZWidth - 1 ? TableBits : ZWidth - 1;
  localparam int RestWidth = ZWidth - 1 - IndexWidth;  // position within a segment, in bits

  // |z|, where the most negative code has the magnitude of the most positive one.
  logic negative, negative_late;
  logic [ZWidth-1:0] absolute, absolute_q;
  logic [ZWidth-2:0] magnitude;
  assign absolute = {1'b0, z_i[ZWidth-2:0] ^ {(ZWidth - 1) {z_i[ZWidth-1]}}} + ZWidth'(z_i[ZWidth-1]);
  delay #(.Width(ZWidth), .Stages(SumStages)) u_absolute (
    .clk, .rst(1'b0), .data_i(absolute), .data_o(absolute_q)
  );
  assign magnitude = absolute_q[ZWidth-2:0] | {(ZWidth - 1) {absolute_q[ZWidth-1]}};
  delay #(.Width(1), .Stages(SumStages + MemoryStages + OperandStages + ProductStages)) u_negative (
    .clk, .rst(1'b0), .data_i(z_i[ZWidth-1]), .data_o(negative)
  );
  delay #(.Width(1), .Stages(SumStages)) u_negative_late (
    .clk, .rst(1'b0), .data_i(negative), .data_o(negative_late)
  );

  logic [SlopeWidth+ActWidth-1:0] entry_read, entry;
  rom #(.Width(SlopeWidth + ActWidth), .Depth(2 ** IndexWidth), .Latency(MemoryStages), .File(File)) u_table (
    .clk, .read_i, .address_i(magnitude[ZWidth-2-:IndexWidth]), .data_o(entry_read),
    .write_i(1'b0), .write_address_i('0), .write_data_i('0)
  );
  delay #(.Width(SlopeWidth + ActWidth), .Stages(OperandStages)) u_entry (
    .clk, .rst(1'b0), .data_i(entry_read), .data_o(entry)
  );

  // Value at the left end, and the rise since then.
  logic [ActWidth-1:0] value, p, p_q;
  delay #(.Width(ActWidth), .Stages(ProductStages)) u_value (
    .clk, .rst(1'b0), .data_i(entry[ActWidth-1:0]), .data_o(value)
  );
  if (RestWidth > 0) begin : g_interpolate
    localparam int ProductWidth = SlopeWidth + RestWidth + 1;
    logic [RestWidth-1:0] rest;
    logic signed [SlopeWidth-1:0] slope;
    logic signed [RestWidth:0] factor;
    logic signed [ProductWidth-1:0] product;
    logic [ProductWidth-1:0] product_q;
    logic unused_saturated;
    delay #(.Width(RestWidth), .Stages(MemoryStages + OperandStages)) u_rest (
      .clk, .rst(1'b0), .data_i(magnitude[RestWidth-1:0]), .data_o(rest)
    );
    assign slope = entry[ActWidth+:SlopeWidth];
    assign factor = {1'b0, rest};
    assign product = slope * factor;
    delay #(.Width(ProductWidth), .Stages(ProductStages)) u_product (
      .clk, .rst(1'b0), .data_i(product), .data_o(product_q)
    );
    saturate_round #(.InWidth(ProductWidth), .Shift(RestWidth), .OutWidth(ActWidth), .Bounded(1'b0)) u_p (
      .clk, .value_i(product_q), .base_i(value), .value_o(p), .saturated_o(unused_saturated)
    );
  end else begin : g_exact
    logic unused_slope;
    assign unused_slope = ^entry[ActWidth+:SlopeWidth];
    assign p = value;
  end

  // f(-z) = Mirror - f(z) = Mirror + ~f(z) + 1
  localparam logic [ActWidth-1:0] Mirror = Odd ? '0 : ActWidth'(1) << ActFrac;
  delay #(.Width(ActWidth), .Stages(SumStages)) u_p_q (
    .clk, .rst(1'b0), .data_i(p ^ {ActWidth{negative}}), .data_o(p_q)
  );
  logic [ActWidth-1:0] a_q;
  always_ff @(posedge clk) a_q <= p_q + (Mirror & {ActWidth{negative_late}}) + ActWidth'(negative_late);
  delay #(.Width(ActWidth), .Stages(OperandStages)) u_a (.clk, .rst(1'b0), .data_i(a_q), .data_o(a_o));
endmodule
`default_nettype wire
