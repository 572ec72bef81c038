// The last register of a rounded value, and its clip: the nearest value with a magnitude of at most Bound.
//
// What a clip bounds is no event of saturation. Latency: 1, and Stages more where there is a bound. Throughput: one per
// clock.
`default_nettype none
module clip #(
  parameter int Width = 16,
  parameter int Bound = 0,  // as a code; 0 for none
  parameter int Stages = 0
) (
  input  wire logic             clk,
  input  wire logic [Width-1:0] value_i,
  input  wire logic             saturated_i,
  output logic      [Width-1:0] value_o,
  output logic                  saturated_o
);
  if (Bound > 0) begin : g_bound
    localparam logic [Width-1:0] HIGH = Width'(Bound);
    localparam logic [Width-1:0] LOW = -HIGH;
    logic [Width-1:0] value;
    logic unused_saturated;
    assign unused_saturated = saturated_i;
    delay #(.Width(Width), .Stages(Stages)) u_value (.clk, .rst(1'b0), .data_i(value_i), .data_o(value));
    assign saturated_o = 1'b0;
    always_ff @(posedge clk) begin
      value_o <= $signed(value) > $signed(HIGH) ? HIGH : $signed(value) < $signed(LOW) ? LOW : value;
    end
  end else begin : g_none
    delay #(.Width(Width + 1), .Stages(1)) u_value (
      .clk, .rst(1'b0), .data_i({value_i, saturated_i}), .data_o({value_o, saturated_o})
    );
  end
endmodule
`default_nettype wire
