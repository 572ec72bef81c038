// Registers begin with anything and the first clock is a reset; later resets may come at any time.
`default_nettype none
module start_in_reset (
  input  wire logic clk,
  input  wire logic rst,
  output logic      started_o
);
  initial started_o = 1'b0;
  always_ff @(posedge clk) started_o <= 1'b1;
  always @(posedge clk) begin
    assume (started_o || rst);
  end
endmodule
`default_nettype wire
