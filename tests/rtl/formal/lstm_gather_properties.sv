// lstm_gather's counters stay in range and agree; every group of a step is read once, in order.
`default_nettype none
module lstm_gather_properties #(
  parameter int Rows = 256,
  parameter int Columns = 96,
  parameter int Lanes = 16,
  parameter int ColumnsPerCycle = 1,
  parameter int Units = 1,
  parameter bit Given = 1'b0,
  localparam int Window = 4 * Units,
  localparam int GroupCount = (Rows + Window - 1) / Window,
  localparam int GroupWidth = GroupCount > 1 ? $clog2(GroupCount) : 1,
  localparam int Offset = ColumnsPerCycle > 1 ? 0 : Rows * (Columns - 1) % Lanes,
  localparam int BufferWords = (Offset + Rows + Lanes - 1) / Lanes,
  localparam int AddressWidth = BufferWords > 1 ? $clog2(BufferWords) : 1,
  localparam bit Serial = Lanes < 4,
  localparam int Stride = Serial ? 1 : (Units > 1 || Lanes % 4 == 0) ? Window : Lanes % 2 == 0 ? 2 : 1,
  localparam int Positions = (Lanes + Stride - 1) / Stride,
  localparam int PositionWidth = Positions > 1 ? $clog2(Positions) : 1,
  localparam int Advance = Serial ? 1 : Window / Stride
) (
  input wire logic                     clk,
  input wire logic                     rst,
  input wire logic                     complete_i,
  input wire logic                     room_i,
  input wire logic                     start_o,
  input wire logic                     done_o,
  input wire logic [AddressWidth-1:0]  address_q,
  input wire logic [PositionWidth-1:0] position_q,
  input wire logic [GroupWidth-1:0]    group_q,
  input wire logic [1:0]               row_q,
  input wire logic                     waiting_q,
  input wire logic                     reading_q,
  input wire logic                     turns_q,
  input wire logic                     unit_read
);
  logic started, may_q, done_q;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  always_ff @(posedge clk) begin
    may_q <= (waiting_q || complete_i) && room_i && !rst;
    done_q <= done_o && !rst;
  end
  // The buffer belongs to one step until its last read.
  always @(posedge clk) if (started) begin
    if (Given) assume (rst || !complete_i || !(waiting_q || reading_q));
    else assert (rst || !complete_i || !(waiting_q || reading_q));
  end
  int row;  // whose lane the window begins with
  assign row = int'(address_q) * Lanes + int'(position_q) * Stride - Offset;
  always @(posedge clk) if (started) begin
    assert (!(waiting_q && reading_q));
    assert (start_o == may_q);
    assert (!start_o || reading_q);
    assert (!done_q || !reading_q);
    assert (int'(group_q) < GroupCount);
    assert (reading_q || (group_q == '0 && row_q == '0));
    assert (int'(address_q) < BufferWords && int'(position_q) < Positions);
    assert (turns_q == (int'(position_q) + Advance >= Positions));
    assert (row == int'(group_q) * Window + (Serial ? int'(row_q) : 0));
    assert (!Serial || unit_read == (reading_q && row_q == 2'd3));
    assert (done_o == (unit_read && int'(group_q) == GroupCount - 1));
  end
endmodule
`default_nettype wire
