// One stream of sequences to the two directions of a layer: as it is, and turned around.
//
// Latency: 0 for the first, a whole sequence for the second (sequence_reverser).
`default_nettype none
module direction_fork #(
  parameter int Width = 16,
  parameter int Beats = 32,  // per step
  parameter int MaxSteps = 64,
  parameter int MemoryStages = 3
) (
  input  wire logic               clk,
  input  wire logic               rst,
  input  wire logic [Width-1:0]   s_data_i,
  input  wire logic               s_last_i,
  input  wire logic               s_valid_i,
  output logic                    s_ready_o,
  output logic      [2*Width-1:0] m_data_o,  // {reverse, forward}
  output logic      [1:0]         m_last_o,
  output logic      [1:0]         m_valid_o,
  input  wire logic [1:0]         m_ready_i,
  output logic                    busy_o
);
  logic turn_valid, turn_ready;
  stream_broadcast u_broadcast (
    .clk,
    .rst,
    .s_valid_i,
    .s_ready_o,
    .m_valid_o({turn_valid, m_valid_o[0]}),
    .m_ready_i({turn_ready, m_ready_i[0]})
  );
  assign m_data_o[0+:Width] = s_data_i;
  assign m_last_o[0] = s_last_i;
  sequence_reverser #(.Width(Width), .Beats(Beats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)) u_turn (
    .clk,
    .rst,
    .s_data_i,
    .s_last_i,
    .s_valid_i(turn_valid),
    .s_ready_o(turn_ready),
    .m_data_o(m_data_o[Width+:Width]),
    .m_last_o(m_last_o[1]),
    .m_valid_o(m_valid_o[1]),
    .m_ready_i(m_ready_i[1]),
    .busy_o
  );
endmodule
`default_nettype wire
