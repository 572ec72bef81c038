// The stream of a layer to its engines and back: to one, to one for each direction, or to one in which cells take turns.
//
// Those are both directions of the layer, or this layer and those above it. With one engine of one cell it is wires.
`default_nettype none
module engine_streams #(
  parameter int Directions = 1,
  parameter int Layers = 1,        // in one engine, in turn
  parameter bit Turns = 1'b0,      // both directions in one engine
  parameter int XElements = 1,     // per beat
  parameter int XBeats = 32,       // per step
  parameter int XWidth = 16,       // of an element
  parameter int YElements = 1,
  parameter int YBeats = 64,       // per step of one direction
  parameter int YWidth = 16,
  parameter int Shift = 0,         // from y to x of the next layer in the engine
  parameter int MaxSteps = 64,
  parameter int MemoryStages = 3,
  parameter int ContextWidth = 1,  // of whose step it is, on the streams
  parameter int IdWidth = 1,       // and in the engines
  localparam int Engines = Turns ? 1 : Directions,
  localparam int XBits = XElements * XWidth,
  localparam int YBits = YElements * YWidth
) (
  input  wire logic                       clk,
  input  wire logic                       rst,
  input  wire logic [XBits-1:0]           s_data_i,
  input  wire logic                       s_last_i,
  input  wire logic [ContextWidth-1:0]    s_id_i,
  input  wire logic                       s_valid_i,
  output logic                            s_ready_o,
  // to the engines, and from them
  output logic      [Engines*XBits-1:0]   x_data_o,
  output logic      [Engines-1:0]         x_last_o,
  output logic      [IdWidth-1:0]         x_id_o,
  output logic      [Engines-1:0]         x_valid_o,
  input  wire logic [Engines-1:0]         x_ready_i,
  input  wire logic [Engines*YBits-1:0]   y_data_i,
  input  wire logic [Engines-1:0]         y_last_i,
  input  wire logic [Engines*IdWidth-1:0] y_id_i,
  input  wire logic [Engines-1:0]         y_valid_i,
  output logic      [Engines-1:0]         y_ready_o,
  output logic      [YBits-1:0]           m_data_o,
  output logic                            m_last_o,
  output logic      [ContextWidth-1:0]    m_id_o,
  output logic                            m_valid_o,
  input  wire logic                       m_ready_i,
  output logic                            busy_o
);
  if (Layers > 1) begin : g_layers
    layer_turns #(
      .Layers(Layers),
      .Elements(XElements),
      .Beats(XBeats),
      .XWidth(XWidth),
      .YWidth(YWidth),
      .Shift(Shift),
      .MemoryStages(MemoryStages)
    ) u_turns (
      .clk,
      .rst,
      .s_data_i,
      .s_last_i,
      .s_valid_i,
      .s_ready_o,
      .x_data_o,
      .x_last_o,
      .x_id_o,
      .x_valid_o,
      .x_ready_i,
      .y_data_i,
      .y_last_i,
      .y_id_i,
      .y_valid_i,
      .y_ready_o,
      .m_data_o,
      .m_last_o,
      .m_valid_o,
      .m_ready_i,
      .busy_o
    );
  end else if (Turns) begin : g_directions
    direction_turns #(
      .XWidth(XBits), .XBeats(XBeats), .YWidth(YBits), .YBeats(YBeats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)
    ) u_turns (
      .clk,
      .rst,
      .s_data_i,
      .s_last_i,
      .s_valid_i,
      .s_ready_o,
      .x_data_o,
      .x_last_o,
      .x_id_o,
      .x_valid_o,
      .x_ready_i,
      .y_data_i,
      .y_last_i,
      .y_id_i,
      .y_valid_i,
      .y_ready_o,
      .m_data_o,
      .m_last_o,
      .m_valid_o,
      .m_ready_i,
      .busy_o
    );
  end else if (Directions == 2) begin : g_both
    logic fork_busy, join_busy, unused_flags;
    assign unused_flags = ^{y_last_i[0], y_id_i};
    assign x_id_o = '0;
    direction_fork #(.Width(XBits), .Beats(XBeats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)) u_fork (
      .clk,
      .rst,
      .s_data_i,
      .s_last_i,
      .s_valid_i,
      .s_ready_o,
      .m_data_o(x_data_o),
      .m_last_o(x_last_o),
      .m_valid_o(x_valid_o),
      .m_ready_i(x_ready_i),
      .busy_o(fork_busy)
    );
    direction_join #(.Width(YBits), .Beats(YBeats), .MaxSteps(MaxSteps), .MemoryStages(MemoryStages)) u_join (
      .clk,
      .rst,
      .s_data_i(y_data_i),
      .s_last_i(y_last_i[1]),
      .s_valid_i(y_valid_i),
      .s_ready_o(y_ready_o),
      .m_data_o,
      .m_last_o,
      .m_valid_o,
      .m_ready_i,
      .busy_o(join_busy)
    );
    assign busy_o = fork_busy || join_busy;
  end else begin : g_one
    logic unused_clocking;
    assign unused_clocking = &{1'b0, clk, rst};
    assign {x_data_o, x_last_o, x_id_o, x_valid_o} = {s_data_i, s_last_i, s_id_i, s_valid_i};
    assign s_ready_o = x_ready_i;
    assign {m_data_o, m_last_o, m_id_o, m_valid_o} = {y_data_i, y_last_i, y_id_i, y_valid_i};
    assign y_ready_o = m_ready_i;
    assign busy_o = 1'b0;
  end
  if (Layers > 1 || Directions == 2) begin : g_alone
    logic unused_id;
    assign unused_id = ^s_id_i;
    assign m_id_o = '0;
  end
endmodule
`default_nettype wire
