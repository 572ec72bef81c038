// The sum of Count signed numbers.
//
// Latency: clog2(Count) where Registered, else 0. Throughput: one sum per clock.
`default_nettype none
module adder_tree #(
  parameter int Width = 24,
  parameter int Count = 4,
  parameter bit Registered = 1'b1,
  localparam int Levels = $clog2(Count),
  localparam int SumWidth = Width + Levels
) (
  input  wire logic                   clk,
  input  wire logic [Count*Width-1:0] terms_i,
  output logic      [SumWidth-1:0]    sum_o
);
  for (genvar level = 0; level <= Levels; level++) begin : g_level
    localparam int Nodes = (Count + 2 ** level - 1) / 2 ** level;
    localparam int NodeWidth = Width + level;
    logic [Nodes*NodeWidth-1:0] nodes;
    if (level == 0) begin : g_leaves
      assign nodes = terms_i;
    end else begin : g_sums
      localparam int Below = (Count + 2 ** (level - 1) - 1) / 2 ** (level - 1);
      localparam int BelowWidth = NodeWidth - 1;
      logic [Nodes*NodeWidth-1:0] sums;
      for (genvar i = 0; i < Nodes; i++) begin : g_node
        logic [BelowWidth-1:0] left, right;
        assign left = g_level[level-1].nodes[2*i*BelowWidth+:BelowWidth];
        if (2 * i + 1 < Below) begin : g_pair
          assign right = g_level[level-1].nodes[(2*i+1)*BelowWidth+:BelowWidth];
        end else begin : g_single
          assign right = '0;
        end
        assign sums[i*NodeWidth+:NodeWidth] = NodeWidth'($signed(left)) + NodeWidth'($signed(right));
      end
      delay #(.Width(Nodes * NodeWidth), .Stages(Registered ? 1 : 0)) u_sums (
        .clk, .rst(1'b0), .data_i(sums), .data_o(nodes)
      );
    end
  end
  if (Levels == 0 || !Registered) begin : g_combinational
    logic unused_clock;
    assign unused_clock = clk;
  end
  assign sum_o = g_level[Levels].nodes;
endmodule
`default_nettype wire
