// The OR of words of which all but one are zero, in registered steps of one level of logic.
//
// Latency: ceil(log4 Count), at least 1. Throughput: one per clock.
`default_nettype none
module join_words #(
  parameter int Width = 128,
  parameter int Count = 16
) (
  input  wire logic                   clk,
  input  wire logic [Count*Width-1:0] words_i,
  output logic      [Width-1:0]       word_o
);
  localparam int Left = (Count + 3) / 4;
  logic [Left*Width-1:0] joined, joined_q;
  always_comb begin
    joined = '0;
    for (int i = 0; i < Count; i++) joined[i/4*Width+:Width] |= words_i[i*Width+:Width];
  end
  always_ff @(posedge clk) joined_q <= joined;
  if (Left > 1) begin : g_more
    join_words #(.Width(Width), .Count(Left)) u_rest (.clk, .words_i(joined_q), .word_o);
  end else begin : g_one
    assign word_o = joined_q;
  end
endmodule
`default_nettype wire
