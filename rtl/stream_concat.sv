// Two streams with the same sequences side by side: of every step the beats of the first, then those of the second.
//
// Latency: 1. Throughput: one beat per clock. `last` is that of the second stream.
`default_nettype none
module stream_concat #(
  parameter int Width = 16,
  parameter int Beats = 64  // per step of either stream
) (
  input  wire logic               clk,
  input  wire logic               rst,
  input  wire logic [2*Width-1:0] s_data_i,
  input  wire logic               s_last_i,  // of the second
  input  wire logic [1:0]         s_valid_i,
  output logic      [1:0]         s_ready_o,
  output logic      [Width-1:0]   m_data_o,
  output logic                    m_last_o,
  output logic                    m_valid_o,
  input  wire logic               m_ready_i
);
  localparam int BeatWidth = Beats > 1 ? $clog2(Beats) : 1;
  logic [BeatWidth-1:0] beat_q;
  logic second_q, valid, ready;
  assign valid = second_q ? s_valid_i[1] : s_valid_i[0];
  assign s_ready_o = {ready && second_q, ready && !second_q};
  always_ff @(posedge clk) begin
    if (rst) begin
      beat_q <= '0;
      second_q <= 1'b0;
    end else if (valid && ready) begin
      if (int'(beat_q) == Beats - 1) begin
        beat_q <= '0;
        second_q <= !second_q;
      end else begin
        beat_q <= beat_q + BeatWidth'(1);
      end
    end
  end
  stream_register #(.Width(Width + 1)) u_out (
    .clk,
    .rst,
    .s_data_i({second_q && s_last_i, second_q ? s_data_i[Width+:Width] : s_data_i[0+:Width]}),
    .s_valid_i(valid),
    .s_ready_o(ready),
    .m_data_o({m_last_o, m_data_o}),
    .m_valid_o,
    .m_ready_i
  );
endmodule
`default_nettype wire
