// A FIFO between two valid/ready streams; Depth is a power of two.
//
// Latency: that of stream_fifo. Throughput: one beat per clock.
`default_nettype none
module stream_buffer #(
  parameter int Width = 16,
  parameter int Depth = 64,
  parameter int MemoryStages = 3
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic [Width-1:0] s_data_i,
  input  wire logic             s_valid_i,
  output logic                  s_ready_o,
  output logic      [Width-1:0] m_data_o,
  output logic                  m_valid_o,
  input  wire logic             m_ready_i,
  output logic                  busy_o
);
  localparam int CountWidth = $clog2(Depth + 1);
  if (Depth < 2 || 2 ** $clog2(Depth) != Depth) begin : g_check_depth
    $error("Depth must be a power of two, at least 2");
  end
  logic [CountWidth-1:0] count_q;  // words inside
  logic ready_q, push, popped;
  assign push = s_valid_i && ready_q;
  assign s_ready_o = ready_q;
  assign busy_o = count_q != '0;
  always_ff @(posedge clk) begin
    if (rst) begin
      count_q <= '0;
      ready_q <= 1'b0;
    end else begin
      count_q <= count_q + CountWidth'(push) - CountWidth'(popped);
      ready_q <= int'(count_q) < Depth - 1;  // this clock's word comes on top
    end
  end
  stream_fifo #(.Width(Width), .Depth(Depth), .Latency(MemoryStages)) u_fifo (
    .clk,
    .rst,
    .push_i(push),
    .data_i(s_data_i),
    .popped_o(popped),
    .data_o(m_data_o),
    .valid_o(m_valid_o),
    .ready_i(m_ready_i)
  );
endmodule
`default_nettype wire
