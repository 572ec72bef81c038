// Lets whole sequences of a stream pass: it opens and closes between sequences, never inside one. Counts what passes. Where
// sequences take turns, it closes once none of them is under way.
//
// Latency: 0; it stands between registers. Throughput: one beat per clock.
`default_nettype none
module sequence_gate #(
  parameter int Width = 16,
  parameter int Beats = 32,    // per step
  parameter int Contexts = 1,  // sequences that take turns
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1
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
  input  wire logic [ContextWidth-1:0] s_id_i,  // whose step it is
  input  wire logic             s_valid_i,
  output logic                  s_ready_o,
  output logic      [Width-1:0] m_data_o,
  output logic                  m_last_o,
  output logic [ContextWidth-1:0] m_id_o,
  output logic                  m_valid_o,
  input  wire logic             m_ready_i
);
  localparam int BeatWidth = Beats > 1 ? $clog2(Beats) : 1;
  logic take, step_end, under_way;
  logic [Contexts-1:0] inside_q, inside_d;  // a sequence of each
  logic [BeatWidth-1:0] beat_q;

  assign take = m_valid_o && m_ready_i;
  assign step_end = s_last_i || int'(beat_q) == Beats - 1;
  assign m_valid_o = s_valid_i && open_o;
  assign s_ready_o = m_ready_i && open_o;
  assign {m_data_o, m_last_o, m_id_o} = {s_data_i, s_last_i, s_id_i};
  assign under_way = inside_q != '0;
  always_comb begin
    inside_d = inside_q;
    if (take) inside_d[Contexts > 1 ? s_id_i : '0] = !s_last_i;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      inside_q <= '0;
      started_o <= 1'b0;
      open_o <= 1'b0;
      step_o <= 1'b0;
      beat_q <= '0;
    end else begin
      step_o <= take && step_end;
      if (take) beat_q <= step_end ? '0 : beat_q + BeatWidth'(1);
      inside_q <= inside_d;
      started_o <= start_i || (started_o && (under_way || !take));
      if (take && inside_d == '0) open_o <= enable_i || (started_o && under_way);
      else if (!take && !under_way) open_o <= enable_i || started_o;
    end
  end
endmodule
`default_nettype wire
