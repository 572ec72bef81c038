// The engine seen from outside: streams that keep still, a step out for a step in, and no rest before all is out.
//
// Arithmetic and memories are cut away, so that what holds here holds for any weights and any numbers.
`default_nettype none
module lstm_properties #(
  parameter int InputSize = 32,
  parameter int HiddenSize = 64,
  parameter int ProjSize = 0,
  parameter int Contexts = 1,
  parameter int InElements = 1,
  parameter int OutElements = 1,
  parameter int XWidth = 16,
  parameter int HWidth = 16,
  parameter int Patience = ProjSize > 0 ? 32 : 22,  // clocks without a beat, while one waits or is due, and none is refused
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int InBeats = (InputSize + InElements - 1) / InElements,
  localparam int OutBeats = ((ProjSize > 0 ? ProjSize : HiddenSize) + OutElements - 1) / OutElements
) (
  input wire logic                          clk,
  input wire logic                          rst,
  input wire logic [InElements*XWidth-1:0]  s_axis_tdata,
  input wire logic                          s_axis_tvalid,
  input wire logic                          s_axis_tlast,
  input wire logic [ContextWidth-1:0]       s_axis_tid,
  input wire logic                          s_axis_tready,
  input wire logic [OutElements*HWidth-1:0] m_axis_tdata,
  input wire logic                          m_axis_tvalid,
  input wire logic                          m_axis_tlast,
  input wire logic [ContextWidth-1:0]       m_axis_tid,
  input wire logic                          m_axis_tready,
  input wire logic                          state_write_i,
  input wire logic                          weight_write_i,
  input wire logic                          keep_i,
  input wire logic                          busy_o,
  input wire logic                          done_o,
  input wire logic                          protocol_error_o
);
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  stream_rules #(.Width(InElements * XWidth + 1 + ContextWidth), .Given(1'b1)) u_in (
    .clk, .rst, .valid(s_axis_tvalid), .ready(s_axis_tready), .data({s_axis_tid, s_axis_tlast, s_axis_tdata})
  );
  stream_rules #(.Width(OutElements * HWidth + 1 + ContextWidth)) u_out (
    .clk, .rst, .valid(m_axis_tvalid), .ready(m_axis_tready), .data({m_axis_tid, m_axis_tlast, m_axis_tdata})
  );

  logic in, out, keep_q;
  assign in = s_axis_tvalid && s_axis_tready;
  assign out = m_axis_tvalid && m_axis_tready;
  logic [7:0] in_beat_q, out_beat_q, wait_q;
  logic [3:0] steps_in_q, steps_out_q, before_q, earlier_q;  // steps; those a clock before, and two
  logic step_in, step_out, short;
  logic [ContextWidth-1:0] id_q;
  assign short = in && s_axis_tlast && int'(in_beat_q) != InBeats - 1;
  assign step_in = in && (short || int'(in_beat_q) == InBeats - 1);
  assign step_out = out && int'(out_beat_q) == OutBeats - 1;
  always_ff @(posedge clk) begin
    keep_q <= keep_i;
    before_q <= rst ? '0 : steps_in_q;
    earlier_q <= rst ? '0 : before_q;
    if (in) id_q <= s_axis_tid;
    if (in) in_beat_q <= step_in ? '0 : in_beat_q + 8'd1;
    if (out) out_beat_q <= step_out ? '0 : out_beat_q + 8'd1;
    steps_in_q <= steps_in_q + 4'(step_in);
    steps_out_q <= steps_out_q + 4'(step_out);
    if (in || out || (!s_axis_tvalid && steps_in_q == steps_out_q)) wait_q <= '0;
    else wait_q <= wait_q + 8'(m_axis_tready);
    if (rst) begin
      in_beat_q <= '0;
      out_beat_q <= '0;
      steps_in_q <= '0;
      steps_out_q <= '0;
      wait_q <= '0;
    end
  end
  always @(posedge clk) begin
    assume (!started || keep_i == keep_q);
    assume (!step_in || steps_in_q != 4'd12);  // that the counters here suffice
    assume (!in || in_beat_q == '0 || s_axis_tid == id_q);
    if (started && !rst) begin
      assert (!m_axis_tvalid || steps_in_q != steps_out_q);                               // nothing out of nothing
      assert (int'(wait_q) < Patience);
      assert (!done_o || earlier_q == steps_out_q);  // all is out when it says so, two registers behind the streams
    end
  end
endmodule
`default_nettype wire
