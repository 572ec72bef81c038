// tally's flags say what its count is; its user keeps the count between zero and Max, which is: nothing over- or underflows.
`default_nettype none
module tally_properties #(
  parameter int Max = 4,
  parameter int Initial = 0,
  parameter bit Given = 1'b0,
  localparam int Width = $clog2(Max + 1)
) (
  input wire logic             clk,
  input wire logic             rst,
  input wire logic             come_i,
  input wire logic             go_i,
  input wire logic             soon_o,
  input wire logic [Width-1:0] count_q,
  input wire logic             some_q,
  input wire logic             more_q
);
  logic started, soon_q;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  always_ff @(posedge clk) soon_q <= rst ? Initial > 0 : soon_o;
  always @(posedge clk) if (started) begin
    if (Given) begin
      assume (rst || !go_i || count_q != '0);
      assume (rst || !come_i || go_i || int'(count_q) < Max);
    end else begin
      assert (rst || !go_i || count_q != '0);
      assert (rst || !come_i || go_i || int'(count_q) < Max);
    end
    assert (int'(count_q) <= Max);
    assert (some_q == (int'(count_q) >= 1));
    assert (more_q == (int'(count_q) >= 2));
    assert (soon_q == (count_q != '0));
  end
endmodule
`default_nettype wire
