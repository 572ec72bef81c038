// A short queue in registers whose two oldest entries are visible.
//
// The producer counts credits: it must not push into a full queue. Latency: 1. Throughput: one per clock. `soon_o` is
// `valid_o` a clock early, for a consumer that keeps its decisions in registers; with Hidden it doesn't know what is
// being pushed.
`default_nettype none
module queue #(
  parameter int Width = 16,
  parameter int Depth = 3,
  parameter bit Hidden = 1'b0
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic             push_i,
  input  wire logic [Width-1:0] data_i,
  input  wire logic             pop_i,
  input  wire logic             shift_i,  // equal to pop_i while valid_o[0]: a copy for the data, which are many
  output logic      [1:0]       valid_o,  // of the oldest and the second
  output logic      [1:0]       soon_o,
  output logic      [Width-1:0] front_o,
  output logic      [Width-1:0] next_o
);
  if (Depth < 2) begin : g_check_depth
    $error("Depth must be at least 2");
  end

  logic [Depth-1:0] valid_q, valid_d;
  logic [Depth*Width-1:0] data_q;

  for (genvar i = 0; i < Depth; i++) begin : g_entry
    localparam int Above = i + 1 < Depth ? i + 1 : i;
    logic above_valid, below_valid, lands, data_lands;
    assign above_valid = i + 1 < Depth && valid_q[Above];
    assign below_valid = i == 0 || valid_q[i > 0 ? i - 1 : 0];
    // A push lands in the first free entry, which is one lower while the queue shifts.
    assign lands = pop_i ? valid_q[i] && !above_valid : below_valid && !valid_q[i];
    assign data_lands = shift_i ? (i == 0 || valid_q[i]) && !above_valid : below_valid && !valid_q[i];
    assign valid_d[i] = (pop_i ? above_valid : valid_q[i]) || (push_i && lands);
    always_ff @(posedge clk) begin
      if (shift_i && above_valid) data_q[i*Width+:Width] <= data_q[Above*Width+:Width];
      else if (data_lands) data_q[i*Width+:Width] <= data_i;
    end
  end

  always_ff @(posedge clk) begin
    if (rst) valid_q <= '0;
    else valid_q <= valid_d;
  end
  assign valid_o = valid_q[1:0];
  if (Hidden) begin : g_hidden
    assign soon_o = pop_i ? {Depth > 2 && valid_q[Depth>2?2:1], valid_q[1]} : valid_q[1:0];
  end else begin : g_seen
    assign soon_o = valid_d[1:0];
  end
  assign front_o = data_q[0+:Width];
  assign next_o  = data_q[Width+:Width];
endmodule
`default_nettype wire
