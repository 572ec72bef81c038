// The way out of a stack of layers: turned back where every layer is reverse, cut down to the last step where asked.
//
// With forward layers and every step it is a wire.
`default_nettype none
module stack_output #(
  parameter int Width = 16,
  parameter int Beats = 64,      // per step
  parameter int Direction = 0,   // 0: forward, 1: reverse, 2: both
  parameter int MaxSteps = 64,
  parameter bit LastOnly = 1'b0,
  parameter int MemoryStages = 2
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
  output logic                  busy_o
);
  logic [Width-1:0] data;
  logic last, valid, ready, turn_busy, last_busy;
  if (Direction == 1) begin : g_turned
    sequence_reverser #(.Width(Width), .Beats(Beats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)) u_turn (
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
      .busy_o(turn_busy)
    );
  end else begin : g_as_is
    assign {data, last, valid} = {s_data_i, s_last_i, s_valid_i};
    assign s_ready_o = ready;
    assign turn_busy = 1'b0;
  end
  if (LastOnly) begin : g_last
    sequence_reverser #(.Width(Width), .Beats(Beats), .MaxSteps(1), .MemoryStages(MemoryStages)) u_last (
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
      .busy_o(last_busy)
    );
  end else begin : g_every
    assign {m_data_o, m_last_o, m_valid_o} = {data, last, valid};
    assign ready = m_ready_i;
    assign last_busy = 1'b0;
  end
  if (Direction != 1 && !LastOnly) begin : g_wire
    logic unused_clocking;
    assign unused_clocking = &{1'b0, clk, rst};
  end
  assign busy_o = turn_busy || last_busy;
endmodule
`default_nettype wire
