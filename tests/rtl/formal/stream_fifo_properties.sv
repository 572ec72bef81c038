// stream_fifo counts what it holds, in its memory, on the way out and in its queue; its user pushes by credit.
`default_nettype none
module stream_fifo_properties #(
  parameter int Width = 16,
  parameter int Depth = 64,
  parameter int Latency = 1,
  parameter bit Given = 1'b0,
  parameter bit Order = 1'b0,  // follow a word too: not inductive, because words in memory would have to be described
  localparam int PointerWidth = Depth > 1 ? $clog2(Depth) : 1,
  localparam int Ahead = Latency + 3,
  localparam int AheadWidth = $clog2(Ahead + 1),
  localparam int StoredWidth = $clog2(Depth + 1)
) (
  input wire logic                    clk,
  input wire logic                    rst,
  input wire logic                    push_i,
  input wire logic [Width-1:0]        data_i,
  input wire logic                    popped_o,
  input wire logic [Width-1:0]        data_o,
  input wire logic                    valid_o,
  input wire logic                    ready_i,
  input wire logic [PointerWidth-1:0] write_q,
  input wire logic [PointerWidth-1:0] read_q,
  input wire logic                    fetch_q,
  input wire logic                    arrive,
  input wire logic [StoredWidth-1:0]  stored,  // count of words in the memory
  input wire logic [AheadWidth-1:0]   free,    // count of places in the queue that no word is on its way to
  input wire logic [Ahead-1:0]        queued   // which places of the queue are taken
);
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  stream_rules #(.Width(Width)) u_out (.clk, .rst, .valid(valid_o), .ready(ready_i), .data(data_o));

  localparam int UsedWidth = $clog2(Depth + Ahead + 1) + 1;
  logic [UsedWidth-1:0] used_q;  // pushed and not yet known to be popped
  logic [Ahead:0] flight;        // fetches of the last clocks
  logic [Ahead-1:0] flight_q;
  logic [AheadWidth:0] flying, queued_count;
  assign flight = {flight_q, fetch_q};
  always_comb begin
    flying = '0;
    for (int i = 1; i <= Latency; i++) flying += (AheadWidth + 1)'(flight[i]);
    queued_count = '0;
    for (int i = 0; i < Ahead; i++) queued_count += (AheadWidth + 1)'(queued[i]);
  end
  always_ff @(posedge clk) begin
    used_q <= rst ? '0 : used_q + UsedWidth'(push_i) - UsedWidth'(popped_o);
    flight_q <= rst ? '0 : flight[Ahead-1:0];
  end
  always @(posedge clk) if (started) begin
    if (Given) assume (rst || !push_i || int'(used_q) < Depth); else assert (rst || !push_i || int'(used_q) < Depth);
    assert (int'(used_q) + int'(free) == int'(stored) + Ahead);
    assert (PointerWidth'(write_q - read_q) == PointerWidth'(stored));
    assert (int'(flying) + int'(flight[0]) + int'(queued_count) + int'(popped_o) + int'(free) == Ahead + int'(fetch_q));
    assert (rst || arrive == flight[Latency]);
  end

  if (Order) begin : g_order
    logic [3:0] in_q, out_q, chosen_q;
    logic [Width-1:0] word_q;
    always_ff @(posedge clk) begin
      chosen_q <= chosen_q;
      in_q <= rst ? '0 : in_q + 4'(push_i);
      out_q <= rst ? '0 : out_q + 4'(valid_o && ready_i);
      if (push_i && in_q == chosen_q) word_q <= data_i;
    end
    always @(posedge clk) if (started) begin
      assert (!valid_o || out_q != chosen_q || in_q == out_q || data_o == word_q);
    end
  end
endmodule
`default_nettype wire
