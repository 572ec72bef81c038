// Layers of one size through one engine, in turn: what comes out with `id` l goes in again with l + 1.
//
// In rounds, as a wavefront: step t of the first layer, t - 1 of the second, … A new step is let in as soon as every step
// that was inside when the last one came has gone in again; all depend on the round before alone. With nothing new, what is
// inside goes on as it comes back, so that the loop empties by itself. At most Layers steps are inside, and the buffer has
// a place for each: the engine never waits for the loop, and nothing can block.
// Latency: 1 in, 1 out, around the engine that of stream_buffer. Throughput: one beat per clock.
`default_nettype none
module layer_turns #(
  parameter int Layers = 2,
  parameter int Elements = 1,  // per beat, in and out
  parameter int Beats = 32,    // per step
  parameter int XWidth = 16,   // of an element
  parameter int YWidth = 16,
  parameter int Shift = 0,     // fraction bits of y beyond those of x
  parameter int MemoryStages = 3,
  localparam int IdWidth = $clog2(Layers),
  localparam int XBits = Elements * XWidth,
  localparam int YBits = Elements * YWidth
) (
  input  wire logic               clk,
  input  wire logic               rst,
  // x of the first layer
  input  wire logic [XBits-1:0]   s_data_i,
  input  wire logic               s_last_i,
  input  wire logic               s_valid_i,
  output logic                    s_ready_o,
  // to the engine, and from it
  output logic      [XBits-1:0]   x_data_o,
  output logic                    x_last_o,
  output logic      [IdWidth-1:0] x_id_o,
  output logic                    x_valid_o,
  input  wire logic               x_ready_i,
  input  wire logic [YBits-1:0]   y_data_i,
  input  wire logic               y_last_i,
  input  wire logic [IdWidth-1:0] y_id_i,
  input  wire logic               y_valid_i,
  output logic                    y_ready_o,
  // h of the last layer
  output logic      [YBits-1:0]   m_data_o,
  output logic                    m_last_o,
  output logic                    m_valid_o,
  input  wire logic               m_ready_i,
  output logic                    busy_o
);
  localparam int Depth = 2 ** $clog2(Layers * Beats + 2);  // so that it is always ready
  localparam int BeatWidth = Beats > 1 ? $clog2(Beats) : 1;
  localparam int CountWidth = $clog2(Layers + 1);
  localparam int BusyClocks = 3;  // from a beat that the engine takes until it says that it is busy

  logic [XBits-1:0] new_data, back_data, converted;
  logic new_last, new_valid, new_ready, back_last, back_valid, back_ready, unused_busy;
  logic [IdWidth-1:0] back_id;
  stream_register #(.Width(XBits + 1)) u_new (
    .clk,
    .rst,
    .s_data_i({s_last_i, s_data_i}),
    .s_valid_i,
    .s_ready_o,
    .m_data_o({new_last, new_data}),
    .m_valid_o(new_valid),
    .m_ready_i(new_ready)
  );

  // What comes out: h of the last layer leaves, of the others it is x of the next one.
  logic y_done, y_leaves, y_returns;
  assign y_done = int'(y_id_i) == Layers - 1;
  assign y_ready_o = y_done ? y_leaves : y_returns;
  stream_register #(.Width(YBits + 1)) u_leaving (
    .clk,
    .rst,
    .s_data_i({y_last_i, y_data_i}),
    .s_valid_i(y_valid_i && y_done),
    .s_ready_o(y_leaves),
    .m_data_o({m_last_o, m_data_o}),
    .m_valid_o,
    .m_ready_i
  );
  convert_elements #(.Elements(Elements), .InWidth(YWidth), .Shift(Shift), .OutWidth(XWidth)) u_convert (
    .clk, .data_i(y_data_i), .data_o(converted)
  );
  stream_buffer #(.Width(XBits + 1 + IdWidth), .Depth(Depth), .MemoryStages(MemoryStages)) u_back (
    .clk,
    .rst,
    .s_data_i({y_id_i + IdWidth'(1), y_last_i, converted}),
    .s_valid_i(y_valid_i && !y_done),
    .s_ready_o(y_returns),
    .m_data_o({back_id, back_last, back_data}),
    .m_valid_o(back_valid),
    .m_ready_i(back_ready),
    .busy_o(unused_busy)
  );

  // Whose step goes in: once offered, it is offered until its end.
  logic held_q, held_back_q, from_back;
  logic [CountWidth-1:0] owed_q, inside_q;  // steps that have to go in again before a new one; that will come back
  assign from_back = held_q ? held_back_q : owed_q != '0 || !new_valid;
  assign x_valid_o = from_back ? back_valid : new_valid;
  assign {x_data_o, x_last_o, x_id_o} = from_back ? {back_data, back_last, back_id} : {new_data, new_last, IdWidth'(0)};
  assign back_ready = from_back && x_ready_i;
  assign new_ready = !from_back && x_ready_i;

  logic take, step_end, finishes;
  logic [BeatWidth-1:0] beat_q;
  logic [BusyClocks-1:0] taken_q;
  assign take = x_valid_o && x_ready_i;
  assign step_end = x_last_o || int'(beat_q) == Beats - 1;  // a sequence may end inside a step, which the engine fills up
  assign finishes = int'(x_id_o) == Layers - 1;
  assign busy_o = new_valid || inside_q != '0 || taken_q != '0 || m_valid_o;
  always_ff @(posedge clk) begin
    if (rst) begin
      held_q <= 1'b0;
      beat_q <= '0;
      owed_q <= '0;
      inside_q <= '0;
      taken_q <= '0;
    end else begin
      held_q <= x_valid_o ? !(take && step_end) : held_q;
      taken_q <= {taken_q[BusyClocks-2:0], take};
      if (take) beat_q <= step_end ? '0 : beat_q + BeatWidth'(1);
      if (take && step_end) begin
        if (!from_back) owed_q <= inside_q;
        else if (owed_q != '0) owed_q <= owed_q - CountWidth'(1);
        if (!from_back) inside_q <= inside_q + CountWidth'(1);
        else if (finishes) inside_q <= inside_q - CountWidth'(1);
      end
    end
    held_back_q <= from_back;
  end
endmodule
`default_nettype wire
