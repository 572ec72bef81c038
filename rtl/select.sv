// One of several words, as a tree of two-way choices.
//
// Combinational. Written out because an indexed part-select of a wide vector costs Yosys twice the area.
`default_nettype none
module select #(
  parameter int Width = 16,
  parameter int Count = 4,
  localparam int IndexWidth = Count > 1 ? $clog2(Count) : 1
) (
  input  wire logic [Count*Width-1:0] words_i,
  input  wire logic [IndexWidth-1:0]  index_i,
  output logic      [Width-1:0]       word_o
);
  localparam int Levels = $clog2(Count);
  if (Levels == 0) begin : g_single
    logic unused_index;
    assign unused_index = index_i[0];
    assign word_o = words_i;
  end else begin : g_tree
    for (genvar level = 0; level < Levels; level++) begin : g_level
      // Bit `level` of the index chooses within each pair of what the level before left.
      localparam int Below = (Count + 2 ** level - 1) / 2 ** level;
      localparam int Left = (Below + 1) / 2;
      logic [Below*Width-1:0] from;
      logic [Left*Width-1:0] chosen;
      if (level == 0) begin : g_words
        assign from = words_i;
      end else begin : g_chosen
        assign from = g_level[level-1].chosen;
      end
      for (genvar i = 0; i < Left; i++) begin : g_pair
        if (2 * i + 1 < Below) begin : g_two
          assign chosen[i*Width+:Width] = index_i[level] ? from[(2*i+1)*Width+:Width] : from[2*i*Width+:Width];
        end else begin : g_one
          assign chosen[i*Width+:Width] = from[2*i*Width+:Width];
        end
      end
    end
    assign word_o = g_level[Levels-1].chosen;
  end
endmodule
`default_nettype wire
