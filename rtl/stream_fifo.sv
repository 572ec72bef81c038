// A FIFO in memory whose oldest word stands in a register, so that a slow memory costs no throughput.
//
// The producer counts credits (`popped_o` gives one back): it must not push into a full FIFO.
// Latency: Latency of the memory + 2. Throughput: one word per clock.
`default_nettype none
module stream_fifo #(
  parameter int Width = 16,
  parameter int Depth = 64,
  parameter int Latency = 1
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic             push_i,
  input  wire logic [Width-1:0] data_i,
  output logic                  popped_o,
  output logic      [Width-1:0] data_o,
  output logic                  valid_o,
  input  wire logic             ready_i
);
  localparam int PointerWidth = Depth > 1 ? $clog2(Depth) : 1;
  localparam int Ahead = Latency + 3;  // words on their way out of the memory

  logic [PointerWidth-1:0] write_q, read_q;
  logic stored, room, fetch_q, arrive, pop, pop_q, unused_second;
  logic [1:0] unused_soon;
  logic [Width-1:0] read_data, unused_next;

  assign pop = valid_o && ready_i;
  assign popped_o = pop_q;
  tally #(.Max(Depth)) u_stored (.clk, .rst, .come_i(push_i), .go_i(fetch_q), .soon_o(stored));
  tally #(.Max(Ahead), .Initial(Ahead)) u_free (.clk, .rst, .come_i(pop_q), .go_i(fetch_q), .soon_o(room));
  always_ff @(posedge clk) begin
    if (rst) begin
      write_q <= '0;
      read_q <= '0;
      fetch_q <= 1'b0;
      pop_q <= 1'b0;
    end else begin
      write_q <= write_q + PointerWidth'(push_i);
      read_q <= read_q + PointerWidth'(fetch_q);
      fetch_q <= stored && room;
      pop_q <= pop;
    end
  end

  ram #(.Width(Width), .Depth(Depth), .Latency(Latency)) u_memory (
    .clk,
    .write_i(push_i),
    .write_address_i(write_q),
    .write_data_i(data_i),
    .read_i(fetch_q),
    .read_address_i(read_q),
    .read_data_o(read_data)
  );
  delay #(.Width(1), .Stages(Latency)) u_arrive (.clk, .rst, .data_i(fetch_q), .data_o(arrive));
  queue #(.Width(Width), .Depth(Ahead)) u_queue (
    .clk,
    .rst,
    .push_i(arrive),
    .data_i(read_data),
    .pop_i(pop),
    .shift_i(ready_i),
    .valid_o({unused_second, valid_o}),
    .soon_o(unused_soon),
    .front_o(data_o),
    .next_o(unused_next)
  );
endmodule
`default_nettype wire
