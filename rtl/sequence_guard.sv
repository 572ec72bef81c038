// Makes every sequence whole steps and at most MaxSteps long, so that what follows can rely on it.
//
// `last` inside a step: the rest of the step is filled with zeros and ends the sequence. More than MaxSteps steps: the
// sequence ends after MaxSteps, and what is left of it is dropped. Either loses only that sequence.
// Latency: 2. Throughput: one beat per clock.
`default_nettype none
module sequence_guard #(
  parameter int Width = 16,
  parameter int Beats = 32,  // per step
  parameter int MaxSteps = 64
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
  output logic                  busy_o,   // inside a sequence
  output logic                  short_o,  // one clock: `last` came inside a step
  output logic                  long_o    // one clock: a sequence was cut
);
  localparam int BeatWidth = Beats > 1 ? $clog2(Beats) : 1;
  localparam int StepWidth = MaxSteps > 1 ? $clog2(MaxSteps) : 1;
  if (Beats < 1 || MaxSteps < 1) begin : g_check_sizes
    $error("Beats and MaxSteps must be at least 1");
  end

  logic [Width-1:0] data;
  logic last, valid, ready;
  stream_register #(.Width(Width + 1)) u_in (
    .clk,
    .rst,
    .s_data_i({s_last_i, s_data_i}),
    .s_valid_i,
    .s_ready_o,
    .m_data_o({last, data}),
    .m_valid_o(valid),
    .m_ready_i(ready)
  );

  logic [BeatWidth-1:0] beat_q;
  logic [StepWidth-1:0] step_q;
  logic step_end_q, final_q;         // last beat of a step; last step that is let through
  logic padding_q, dropping_q;       // filling a step up; throwing beats away
  logic out_valid, out_ready, out_last, move, short, long;
  assign out_valid = padding_q || (valid && !dropping_q);
  assign out_last = step_end_q && (padding_q || last || final_q);
  assign ready = dropping_q || (out_ready && !padding_q);
  assign move = out_valid && out_ready;
  assign short = move && !padding_q && last && !step_end_q;
  assign long = move && !padding_q && !last && step_end_q && final_q;
  stream_register #(.Width(Width + 1)) u_out (
    .clk,
    .rst,
    .s_data_i({out_last, padding_q ? '0 : data}),
    .s_valid_i(out_valid),
    .s_ready_o(out_ready),
    .m_data_o({m_last_o, m_data_o}),
    .m_valid_o,
    .m_ready_i
  );

  always_ff @(posedge clk) begin
    if (rst) begin
      beat_q <= '0;
      step_q <= '0;
      step_end_q <= Beats == 1;
      final_q <= MaxSteps == 1;
      padding_q <= 1'b0;
      dropping_q <= 1'b0;
      short_o <= 1'b0;
      long_o <= 1'b0;
      busy_o <= 1'b0;
    end else begin
      short_o <= short;
      long_o <= long;
      busy_o <= valid || m_valid_o || padding_q || dropping_q || beat_q != '0 || step_q != '0;
      padding_q <= short || (padding_q && !(move && step_end_q));
      dropping_q <= long || (dropping_q && !(valid && last));
      if (move && step_end_q) begin
        beat_q <= '0;
        step_end_q <= Beats == 1;
        step_q <= out_last ? '0 : step_q + StepWidth'(1);
        final_q <= MaxSteps == 1 || (!out_last && int'(step_q) + 2 == MaxSteps);
      end else if (move) begin
        beat_q <= beat_q + BeatWidth'(1);
        step_end_q <= int'(beat_q) + 2 == Beats;
      end
    end
  end
endmodule
`default_nettype wire
