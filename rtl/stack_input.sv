// The way into a stack of layers: whole sequences of bounded length, turned around where every layer is reverse.
//
// With forward layers alone it is a wire.
`default_nettype none
module stack_input #(
  parameter int Width = 16,
  parameter int Beats = 32,     // per step
  parameter int Direction = 0,  // 0: forward, 1: reverse, 2: both
  parameter int MaxSteps = 64,
  parameter int MemoryStages = 3
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic [Width-1:0] s_data_i,
  input  wire logic             s_last_i,
  input  wire logic             s_valid_i,
  output logic                  s_ready_o,
  output logic      [Width-1:0] m_data_o,
  output logic                  m_last_o,
  output logic                  m_valid_o,
  input  wire logic             m_ready_i,
  output logic                  busy_o,
  output logic                  short_o,  // one clock: tlast came inside a step
  output logic                  long_o    // one clock: a sequence was cut at MaxSteps
);
  if (Direction == 0) begin : g_wire
    logic unused_clocking;
    assign unused_clocking = &{1'b0, clk, rst};
    assign {m_data_o, m_last_o, m_valid_o} = {s_data_i, s_last_i, s_valid_i};
    assign s_ready_o = m_ready_i;
    assign {busy_o, short_o, long_o} = '0;
  end else begin : g_guarded
    logic [Width-1:0] data;
    logic last, valid, ready, guard_busy;
    sequence_guard #(.Width(Width), .Beats(Beats), .MaxSteps(MaxSteps)) u_guard (
      .clk,
      .rst,
      .s_data_i,
      .s_last_i,
      .s_valid_i,
      .s_ready_o,
      .m_data_o(data),
      .m_last_o(last),
      .m_valid_o(valid),
      .m_ready_i(ready),
      .busy_o(guard_busy),
      .short_o,
      .long_o
    );
    if (Direction == 1) begin : g_turned
      logic turn_busy;
      sequence_reverser #(.Width(Width), .Beats(Beats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)) u_turn (
        .clk,
        .rst,
        .s_data_i(data),
        .s_last_i(last),
        .s_valid_i(valid),
        .s_ready_o(ready),
        .m_data_o,
        .m_last_o,
        .m_valid_o,
        .m_ready_i,
        .busy_o(turn_busy)
      );
      assign busy_o = guard_busy || turn_busy;
    end else begin : g_as_is
      assign {m_data_o, m_last_o, m_valid_o} = {data, last, valid};
      assign ready = m_ready_i;
      assign busy_o = guard_busy;
    end
  end
endmodule
`default_nettype wire
