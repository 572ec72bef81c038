// One stream to two receivers, each of which takes every beat in its own time.
//
// Latency: 0. A beat is done when both have taken it; neither waits for the other within a beat.
`default_nettype none
module stream_broadcast (
  input  wire logic       clk,
  input  wire logic       rst,
  input  wire logic       s_valid_i,
  output logic            s_ready_o,
  output logic      [1:0] m_valid_o,
  input  wire logic [1:0] m_ready_i
);
  logic [1:0] taken_q;
  assign m_valid_o = {2{s_valid_i}} & ~taken_q;
  assign s_ready_o = (m_ready_i | taken_q) == 2'b11;
  always_ff @(posedge clk) begin
    if (rst) taken_q <= '0;
    else taken_q <= s_valid_i && s_ready_o ? 2'b00 : taken_q | (m_valid_o & m_ready_i);
  end
endmodule
`default_nettype wire
