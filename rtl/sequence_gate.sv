// Lets whole sequences of a stream pass: it opens and closes between sequences, never inside one. Counts what passes.
//
// Latency: 0; it stands between registers. Throughput: one beat per clock.
`default_nettype none
module sequence_gate #(
  parameter int Width = 16,
  parameter int Beats = 32  // per step
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic             enable_i,   // sequences pass
  input  wire logic             start_i,    // one clock: one sequence passes
  output logic                  started_o,  // that one has not begun yet
  output logic                  open_o,
  output logic                  step_o,     // one clock: a step has passed
  input  wire logic [Width-1:0] s_data_i,
  input  wire logic             s_last_i,
  input  wire logic             s_valid_i,
  output logic                  s_ready_o,
  output logic      [Width-1:0] m_data_o,
  output logic                  m_last_o,
  output logic                  m_valid_o,
  input  wire logic             m_ready_i
);
  localparam int BeatWidth = Beats > 1 ? $clog2(Beats) : 1;
  logic inside_q, take, step_end;
  logic [BeatWidth-1:0] beat_q;

  assign take = m_valid_o && m_ready_i;
  assign step_end = s_last_i || int'(beat_q) == Beats - 1;
  assign m_valid_o = s_valid_i && open_o;
  assign s_ready_o = m_ready_i && open_o;
  assign {m_data_o, m_last_o} = {s_data_i, s_last_i};

  always_ff @(posedge clk) begin
    if (rst) begin
      inside_q <= 1'b0;
      started_o <= 1'b0;
      open_o <= 1'b0;
      step_o <= 1'b0;
      beat_q <= '0;
    end else begin
      step_o <= take && step_end;
      if (take) beat_q <= step_end ? '0 : beat_q + BeatWidth'(1);
      if (take) inside_q <= !s_last_i;
      started_o <= start_i || (started_o && (inside_q || !take));
      if (take && s_last_i) open_o <= enable_i || (started_o && inside_q);
      else if (!take && !inside_q) open_o <= enable_i || started_o;
    end
  end
endmodule
`default_nettype wire
