// lstm_output promises no more room than its FIFO has, and sends what came, a step's beats after each other.
`default_nettype none
module lstm_output_properties #(
  parameter int HiddenSize = 64,
  parameter int Units = 1,
  parameter int OutElements = 1,
  parameter int Width = 16,
  parameter int MemoryStages = 2,
  parameter bit Given = 1'b0,
  localparam int Groups = (HiddenSize + Units - 1) / Units,
  localparam int Depth = 2 ** $clog2(2 * Groups),
  localparam int CountWidth = $clog2(Depth + 1),
  localparam int Ahead = MemoryStages + 3
) (
  input wire logic                         clk,
  input wire logic                         rst,
  input wire logic                         start_i,
  input wire logic                         room_o,
  input wire logic                         valid_i,
  input wire logic                         step_last_i,
  input wire logic                         sequence_last_i,
  input wire logic                         busy_o,
  input wire logic [OutElements*Width-1:0] m_axis_tdata,
  input wire logic                         m_axis_tvalid,
  input wire logic                         m_axis_tlast,
  input wire logic                         m_axis_tready,
  input wire logic [CountWidth-1:0]        taken_q,
  input wire logic [CountWidth-1:0]        change_q,
  input wire logic                         popped,
  // counts of the FIFO
  input wire logic [CountWidth-1:0]        stored,
  input wire logic [$clog2(Ahead+1)-1:0]   free
);
  localparam int Beats = (HiddenSize + OutElements - 1) / OutElements;
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  stream_rules #(.Width(OutElements * Width + 1)) u_out (
    .clk, .rst, .valid(m_axis_tvalid), .ready(m_axis_tready), .data({m_axis_tlast, m_axis_tdata})
  );

  logic room_q, start_q, start_qq;
  logic [CountWidth+1:0] promised_q, held_q;  // groups that will come; that are in the FIFO
  logic [CountWidth-1:0] group_q;             // of the step that comes
  int used;
  assign used = int'(promised_q) + int'(held_q);
  always_ff @(posedge clk) begin
    room_q <= room_o;
    start_q <= start_i;
    start_qq <= start_q;
    promised_q <= promised_q + (start_i ? (CountWidth + 2)'(Groups) : '0) - (CountWidth + 2)'(valid_i);
    held_q <= held_q + (CountWidth + 2)'(valid_i) - (CountWidth + 2)'(popped);
    if (valid_i) group_q <= step_last_i ? '0 : group_q + CountWidth'(1);
    if (rst) begin
      start_q <= 1'b0;
      start_qq <= 1'b0;
      promised_q <= '0;
      held_q <= '0;
      group_q <= '0;
    end
  end
  always @(posedge clk) if (started && !rst) begin
    if (Given) begin
      assume (!start_i || (room_q && !start_q));  // the cell reads room_o into a register, and a step takes two clocks
      assume (!valid_i || promised_q != '0);
      assume (!valid_i || step_last_i == (int'(group_q) == Groups - 1));
    end else begin
      assert (!start_i || (room_q && !start_q));
      assert (!valid_i || promised_q != '0);
      assert (!valid_i || step_last_i == (int'(group_q) == Groups - 1));
    end
  end
  always @(posedge clk) if (started) begin
    assert (CountWidth'(taken_q + change_q) == CountWidth'(used));
    assert (used <= Depth);
    assert (int'(held_q) + int'(free) == int'(stored) + Ahead);
    assert (int'(taken_q) <= Depth);
    assert (rst || !start_i || used + Groups <= Depth);
    assert (!room_q || start_q || used + Groups <= Depth);
    assert (busy_o || start_q || start_qq || (promised_q == '0 && held_q == '0));  // it rises late, and never falls early
  end
endmodule
`default_nettype wire
