// The OR of words of which all but one are zero, in registered steps of one level of logic.
//
// Latency: ceil(log4 Count), at least 1. Throughput: one per clock.
`default_nettype none
module join_words #(
  parameter int Width = 128,
  parameter int Count = 16,
  localparam int Levels = Count > 4 ? ($clog2(Count) + 1) / 2 : 1
) (
  input  wire logic                   clk,
  input  wire logic [Count*Width-1:0] words_i,
  output logic      [Width-1:0]       word_o
);
  for (genvar level = 0; level < Levels; level++) begin : g_level
    localparam int Below = (Count + 4 ** level - 1) / 4 ** level;
    localparam int Left = (Below + 3) / 4;
    logic [Below*Width-1:0] from;
    logic [Left*Width-1:0] joined, joined_q;
    if (level == 0) begin : g_words
      assign from = words_i;
    end else begin : g_joined
      assign from = g_level[level-1].joined_q;
    end
    always_comb begin
      joined = '0;
      for (int i = 0; i < Below; i++) joined[i/4*Width+:Width] |= from[i*Width+:Width];
    end
    always_ff @(posedge clk) joined_q <= joined;
  end
  assign word_o = g_level[Levels-1].joined_q;
endmodule
`default_nettype wire
