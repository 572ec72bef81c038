// lstm_schedule's registered flags say of every word what its number says.
`default_nettype none
module lstm_schedule_properties #(
  parameter int Rows = 256,
  parameter int Columns = 96,
  parameter int Lanes = 16,
  parameter int ColumnsPerCycle = 1,
  parameter bit Given = 1'b0,
  localparam int Words = ColumnsPerCycle > 1 ? (Columns + ColumnsPerCycle - 1) / ColumnsPerCycle
                                             : (Rows * Columns + Lanes - 1) / Lanes,
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1,
  localparam int BaseWidth = $clog2(Rows + 1)
) (
  input wire logic                 clk,
  input wire logic                 rst,
  input wire logic [1:0]           operand_soon_i,
  input wire logic [1:0]           hold_i,
  input wire logic                 issue_o,
  input wire logic                 pop_o,
  input wire logic                 shift_o,
  input wire logic [WordWidth-1:0] word_o,
  input wire logic [BaseWidth-1:0] base_o,
  input wire logic                 capture_o,
  input wire logic                 capture_begin_o,
  input wire logic                 capture_enough_o,
  input wire logic [1:0]           fresh_o,
  // the word after it
  input wire logic                 ready_q,
  input wire logic                 crosses_q,
  input wire logic                 ends_q,
  input wire logic [WordWidth-1:0] word_q,
  input wire logic [BaseWidth-1:0] base_q,
  input wire logic                 last_q,
  input wire logic                 wrap_q,
  input wire logic                 end_q,
  input wire logic                 cross_q,
  input wire logic                 capture_q,
  input wire logic                 begin_q,
  input wire logic                 enough_q,
  input wire logic [1:0]           fresh_q
);
  localparam int FirstWhole = Rows / Lanes;                                          // words of the first column alone
  localparam int FirstPart = FirstWhole + (Rows % Lanes != 0 ? 1 : 0);
  localparam int LastBegins = ColumnsPerCycle > 1 ? Words - 1 : Rows * (Columns - 1) / Lanes;
  localparam int LastAlone = ColumnsPerCycle > 1 ? Words - 1 : (Rows * (Columns - 1) + Lanes - 1) / Lanes;
  logic started, reset_q;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  always_ff @(posedge clk) reset_q <= rst;
  // No operand is announced in the first clock after a reset.
  always @(posedge clk) if (started) begin
    if (Given) assume (rst || !reset_q || operand_soon_i == '0); else assert (rst || !reset_q || operand_soon_i == '0);
  end

  int word, base, following, standing;
  assign word = int'(word_q);
  assign base = int'(base_q);
  assign following = word == Words - 1 ? 0 : word + 1;
  assign standing = int'(word_o);
  logic last, ends;
  assign last = word == Words - 1;
  assign ends = standing == Words - 1 || standing * Lanes % Rows + Lanes >= Rows;
  always @(posedge clk) if (started) begin
    assert (word < Words);
    assert (base == (ColumnsPerCycle > 1 ? 0 : word * Lanes % Rows));
    assert (last_q == last);
    assert (last || wrap_q == (base + Lanes >= Rows));
    assert (end_q == (last || base + Lanes >= Rows));
    assert (cross_q == (!last && base + Lanes > Rows));
    assert (capture_q == (word >= LastBegins));
    assert (begin_q == (word == LastBegins));
    assert (enough_q == (word == LastAlone));
    assert (fresh_q[1] == (following < FirstWhole));
    assert (Rows % Lanes == 0 || fresh_q[0] == (following < FirstPart));
  end

  // The word at the outputs is the one before; its flags say likewise, and whether a column ends with it.
  always @(posedge clk) if (started) begin
    assert (!ready_q || standing == (word == 0 ? Words - 1 : word - 1));
    assert (!ready_q || int'(base_o) == (ColumnsPerCycle > 1 ? 0 : standing * Lanes % Rows));
    assert (!ready_q || capture_o == (standing >= LastBegins));
    assert (!ready_q || capture_begin_o == (standing == LastBegins));
    assert (!ready_q || capture_enough_o == (standing == LastAlone));
    assert (!ready_q || ends_q == ends);
    assert (rst || pop_o == (issue_o && ends));
    assert (shift_o == pop_o);
  end

  // The weights are read in the first clock in which their word stands there, which is after an issue, or a reset.
  logic started_q, moved_q;
  logic [WordWidth-1:0] before_q;
  always_ff @(posedge clk) begin
    started_q <= started;
    moved_q <= rst || issue_o || !ready_q;
    before_q <= word_o;
  end
  always @(posedge clk) if (started && started_q) assert (moved_q || word_o == before_q);

  // Nothing is issued without its operands, nor into a buffer that is still read.
  logic [1:0] there_q;
  logic held_q;
  always_ff @(posedge clk) begin
    there_q <= operand_soon_i;
    held_q <= hold_i[0] || (hold_i[1] && issue_o && capture_begin_o);
  end
  always @(posedge clk) if (started) begin
    assert (!issue_o || ready_q);
    assert (!issue_o || there_q[0]);
    assert (!issue_o || there_q[1] || standing == Words - 1 || standing * Lanes % Rows + Lanes <= Rows);
    assert (!issue_o || !capture_begin_o || !held_q);
    assert (!ready_q || crosses_q == (standing != Words - 1 && standing * Lanes % Rows + Lanes > Rows));
  end
endmodule
`default_nettype wire
