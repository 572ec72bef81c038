// layer_turns around an engine that hands steps back in order, as late as it likes: ids, counts, order, and no standstill.
`default_nettype none
module layer_turns_properties #(
  parameter int Layers = 2,
  parameter int Elements = 1,
  parameter int Beats = 2,
  parameter int XWidth = 1,
  parameter int YWidth = 1,
  localparam int IdWidth = $clog2(Layers),
  localparam int XBits = Elements * XWidth,
  localparam int YBits = Elements * YWidth,
  localparam int CountWidth = $clog2(Layers + 1),
  localparam int Most = 2 * Layers + 1,  // steps in the engine, and one to spare
  localparam int HeldWidth = $clog2(Most + 1),
  localparam int BackWidth = $clog2(Layers * Beats + 1)
) (
  input wire logic                  clk,
  input wire logic                  rst,
  input wire logic [XBits-1:0]      s_data_i,
  input wire logic                  s_last_i,
  input wire logic                  s_valid_i,
  input wire logic                  s_ready_o,
  input wire logic [XBits-1:0]      x_data_o,
  input wire logic                  x_last_o,
  input wire logic [IdWidth-1:0]    x_id_o,
  input wire logic                  x_valid_o,
  input wire logic                  x_ready_i,
  input wire logic [YBits-1:0]      y_data_i,
  input wire logic                  y_last_i,
  input wire logic [IdWidth-1:0]    y_id_i,
  input wire logic                  y_valid_i,
  input wire logic                  y_ready_o,
  input wire logic [YBits-1:0]      m_data_o,
  input wire logic                  m_last_o,
  input wire logic                  m_valid_o,
  input wire logic                  m_ready_i,
  input wire logic                  busy_o,
  input wire logic                  from_back,
  input wire logic                  held_q,
  input wire logic                  new_valid,
  input wire logic [CountWidth-1:0] owed_q,
  input wire logic [CountWidth-1:0] inside_q,
  input wire logic                  y_returns
);
  logic started, running_q;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  stream_rules #(.Width(XBits + 1), .Given(1'b1)) u_in (
    .clk, .rst, .valid(s_valid_i), .ready(s_ready_o), .data({s_last_i, s_data_i})
  );
  stream_rules #(.Width(YBits + 1 + IdWidth), .Given(1'b1)) u_back (
    .clk, .rst, .valid(y_valid_i), .ready(y_ready_o), .data({y_last_i, y_id_i, y_data_i})
  );
  stream_rules #(.Width(XBits + 1 + IdWidth)) u_to (
    .clk, .rst, .valid(x_valid_o), .ready(x_ready_i), .data({x_last_o, x_id_o, x_data_o})
  );
  stream_rules #(.Width(YBits + 1)) u_out (
    .clk, .rst, .valid(m_valid_o), .ready(m_ready_i), .data({m_last_o, m_data_o})
  );

  // The engine: steps inside, the oldest lowest, each with its id and whether it ends a sequence. A step comes out when
  // all of it is in, and has all its beats even where it was cut.
  logic take, take_end, give, give_end, out, out_end, begun_q;
  logic [7:0] x_beat_q, y_beat_q, m_beat_q;
  logic [Most*(IdWidth+1)-1:0] steps_q, left;
  logic [HeldWidth-1:0] held_steps_q, kept;
  logic [IdWidth:0] oldest;
  logic [IdWidth-1:0] id_q;
  assign oldest = steps_q[IdWidth:0];
  assign take = x_valid_o && x_ready_i;
  assign take_end = take && (x_last_o || int'(x_beat_q) == Beats - 1);
  assign give = y_valid_i && y_ready_o;
  assign give_end = give && int'(y_beat_q) == Beats - 1;
  assign out = m_valid_o && m_ready_i;
  assign out_end = out && int'(m_beat_q) == Beats - 1;
  assign left = give_end ? steps_q >> (IdWidth + 1) : steps_q;
  assign kept = held_steps_q - HeldWidth'(give_end);
  // Beats of steps that are on their way back; new steps that came, and that left.
  logic [BackWidth-1:0] back_q;
  logic [4:0] new_q, gone_q;
  logic [2:0] taken_q;
  logic y_done;
  assign y_done = int'(y_id_i) == Layers - 1;
  always_ff @(posedge clk) begin
    running_q <= started;
    steps_q <= left;
    for (int i = 0; i < Most; i++) begin
      if (take_end && int'(kept) == i) steps_q[i*(IdWidth+1)+:IdWidth+1] <= {x_id_o, x_last_o};
    end
    held_steps_q <= kept + HeldWidth'(take_end);
    if (take) begin
      id_q <= x_id_o;
      x_beat_q <= take_end ? '0 : x_beat_q + 8'd1;
    end
    if (give) y_beat_q <= give_end ? '0 : y_beat_q + 8'd1;
    if (out) m_beat_q <= out_end ? '0 : m_beat_q + 8'd1;
    back_q <= back_q + BackWidth'(give && !y_done) - BackWidth'(take && from_back);
    new_q <= new_q + 5'(take_end && !from_back);
    gone_q <= gone_q + 5'(out_end);
    begun_q <= begun_q || take;
    taken_q <= {taken_q[1:0], take};
    if (rst) begin
      held_steps_q <= '0;
      x_beat_q <= '0;
      y_beat_q <= '0;
      m_beat_q <= '0;
      back_q <= '0;
      new_q <= '0;
      gone_q <= '0;
      begun_q <= 1'b0;
      taken_q <= '0;
    end
  end
  always @(posedge clk) begin
    assume (!y_valid_i || held_steps_q != '0);
    assume (!y_valid_i || y_id_i == oldest[IdWidth:1]);
    assume (!y_valid_i || y_last_i == (oldest[0] && int'(y_beat_q) == Beats - 1));
    assume (new_q != 5'd30);
    if (running_q && !rst) begin
      assert (int'(held_steps_q) < Most);
      assert (!x_valid_o || int'(x_id_o) < Layers);
      assert (!x_valid_o || x_beat_q == '0 || x_id_o == id_q);     // nothing changes inside a step
      assert (!x_valid_o || from_back == (x_id_o != '0));
      assert (!x_valid_o || !from_back || back_q != '0);           // nothing comes back that has not come
      assert (int'(inside_q) <= Layers);
      assert (owed_q <= inside_q);
      assert (new_q != gone_q || !m_valid_o);                      // a step out for a step in
      assert (y_returns || !begun_q);                              // the engine never waits for the loop
      assert (busy_o || new_q == gone_q || (held_steps_q != '0 && taken_q == '0));  // else the engine says it by itself
      // Where nothing is inside, a new step is let in: it can't stand still.
      assert (held_steps_q != '0 || back_q != '0 || held_q || (owed_q == '0 && inside_q == '0));
      assert (!new_valid || owed_q != '0 || held_q || x_valid_o);
    end
  end
endmodule
`default_nettype wire
