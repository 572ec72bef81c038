// Both directions of a layer through one engine, step by step in turn, with `id` 0 for forward and 1 for reverse.
//
// x of a sequence goes in as its first step, its last, the second, the last but one, …, so that each direction has as many
// steps as the other and one computes while the other waits for its h. What comes out is brought back into order of time.
// Latency: a whole sequence on the way in, another on the way out. Throughput: one beat per clock either way.
`default_nettype none
module direction_turns #(
  parameter int XWidth = 16,
  parameter int XBeats = 32,  // per step
  parameter int YWidth = 16,
  parameter int YBeats = 64,  // per step of one direction
  parameter int MaxSteps = 64,
  parameter int MemoryStages = 3
) (
  input  wire logic              clk,
  input  wire logic              rst,
  // x of whole sequences
  input  wire logic [XWidth-1:0] s_data_i,
  input  wire logic              s_last_i,
  input  wire logic              s_valid_i,
  output logic                   s_ready_o,
  // to the engine, and from it
  output logic      [XWidth-1:0] x_data_o,
  output logic                   x_last_o,
  output logic                   x_id_o,
  output logic                   x_valid_o,
  input  wire logic              x_ready_i,
  input  wire logic [YWidth-1:0] y_data_i,
  input  wire logic              y_last_i,
  input  wire logic              y_id_i,
  input  wire logic              y_valid_i,
  output logic                   y_ready_o,
  // of every step the forward half, then the other
  output logic      [YWidth-1:0] m_data_o,
  output logic                   m_last_o,
  output logic                   m_valid_o,
  input  wire logic              m_ready_i,
  output logic                   busy_o
);
  logic turn_busy, join_busy;
  sequence_reverser #(
    .Width(XWidth), .Beats(XBeats), .MaxSteps(MaxSteps), .Both(1'b1), .MemoryStages(MemoryStages)
  ) u_turns (
    .clk,
    .rst,
    .s_data_i,
    .s_last_i,
    .s_valid_i,
    .s_ready_o,
    .m_data_o({x_id_o, x_data_o}),
    .m_last_o(x_last_o),
    .m_valid_o(x_valid_o),
    .m_ready_i(x_ready_i),
    .busy_o(turn_busy)
  );

  logic [1:0] y_valid, y_ready;
  assign y_valid = {y_valid_i && y_id_i, y_valid_i && !y_id_i};
  assign y_ready_o = y_id_i ? y_ready[1] : y_ready[0];
  direction_join #(.Width(YWidth), .Beats(YBeats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)) u_join (
    .clk,
    .rst,
    .s_data_i({y_data_i, y_data_i}),
    .s_last_i(y_last_i),
    .s_valid_i(y_valid),
    .s_ready_o(y_ready),
    .m_data_o,
    .m_last_o,
    .m_valid_o,
    .m_ready_i,
    .busy_o(join_busy)
  );
  assign busy_o = turn_busy || join_busy;
endmodule
`default_nettype wire
