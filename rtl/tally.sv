// A count of things that come and go one at a time, and whether any are left, told a clock ahead.
//
// `soon_o` says that the count is above zero in the next clock, what comes and goes in this one included: a decision
// that depends on it can stand in a register and still be exact. The user keeps the count between 0 and Max.
`default_nettype none
module tally #(
  parameter int Max = 4,
  parameter int Initial = 0,
  localparam int Width = $clog2(Max + 1)
) (
  input  wire logic clk,
  input  wire logic rst,     // back to Initial
  input  wire logic come_i,
  input  wire logic go_i,    // never below zero
  output logic      soon_o
);
  logic [Width-1:0] count_q;
  logic some_q, more_q;  // at least 1, at least 2
  assign soon_o = come_i || (go_i ? more_q : some_q);
  always_ff @(posedge clk) begin
    if (come_i != go_i) begin
      count_q <= go_i ? count_q - Width'(1) : count_q + Width'(1);
      some_q <= come_i || more_q;
      more_q <= come_i ? some_q : int'(count_q) >= 3;
    end
    if (rst) begin
      count_q <= Width'(Initial);
      some_q <= Initial >= 1;
      more_q <= Initial >= 2;
    end
  end
endmodule
`default_nettype wire
