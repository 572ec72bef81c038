// The outputs of a layer's two directions as one stream in order of time: of every step the forward half, then the other.
//
// The reverse direction is one sequence late and is turned back, which takes another: the forward one waits in a buffer
// of two sequences, so that neither engine has to. Throughput: one beat per clock.
`default_nettype none
module direction_join #(
  parameter int Width = 16,
  parameter int Beats = 64,  // per step of one direction
  parameter int MaxSteps = 64,
  parameter int MemoryStages = 3
) (
  input  wire logic               clk,
  input  wire logic               rst,
  input  wire logic [2*Width-1:0] s_data_i,   // {reverse, forward}
  input  wire logic               s_last_i,   // of the reverse one
  input  wire logic [1:0]         s_valid_i,
  output logic      [1:0]         s_ready_o,
  output logic      [Width-1:0]   m_data_o,
  output logic                    m_last_o,
  output logic                    m_valid_o,
  input  wire logic               m_ready_i,
  output logic                    busy_o
);
  localparam int Depth = 2 ** $clog2(2 * MaxSteps * Beats);
  logic [2*Width-1:0] data;
  logic [1:0] valid, ready;
  logic last, buffer_busy, turn_busy;
  stream_buffer #(.Width(Width), .Depth(Depth), .MemoryStages(MemoryStages)) u_buffer (
    .clk,
    .rst,
    .s_data_i(s_data_i[0+:Width]),
    .s_valid_i(s_valid_i[0]),
    .s_ready_o(s_ready_o[0]),
    .m_data_o(data[0+:Width]),
    .m_valid_o(valid[0]),
    .m_ready_i(ready[0]),
    .busy_o(buffer_busy)
  );
  sequence_reverser #(.Width(Width), .Beats(Beats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)) u_turn (
    .clk,
    .rst,
    .s_data_i(s_data_i[Width+:Width]),
    .s_last_i,
    .s_valid_i(s_valid_i[1]),
    .s_ready_o(s_ready_o[1]),
    .m_data_o(data[Width+:Width]),
    .m_last_o(last),
    .m_valid_o(valid[1]),
    .m_ready_i(ready[1]),
    .busy_o(turn_busy)
  );
  stream_concat #(.Width(Width), .Beats(Beats)) u_concat (
    .clk,
    .rst,
    .s_data_i(data),
    .s_last_i(last),
    .s_valid_i(valid),
    .s_ready_o(ready),
    .m_data_o,
    .m_last_o,
    .m_valid_o,
    .m_ready_i
  );
  assign busy_o = buffer_busy || turn_busy || m_valid_o;
endmodule
`default_nettype wire
