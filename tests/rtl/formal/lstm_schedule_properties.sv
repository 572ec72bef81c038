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
  localparam int BaseWidth = $clog2(Rows + 1),
  localparam int FlagsWidth = WordWidth + BaseWidth + 4
) (
  input wire logic                 clk,
  input wire logic                 rst,
  input wire logic [1:0]           operand_soon_i,
  input wire logic [1:0]           hold_i,
  input wire logic                 issue_o,
  input wire logic                 pop_o,
  input wire logic                 shift_o,
  input wire logic [WordWidth-1:0] word_o,
  input wire logic                 moved_o,
  input wire logic [BaseWidth-1:0] base_o,
  input wire logic                 capture_o,
  input wire logic                 capture_begin_o,
  input wire logic                 capture_enough_o,
  input wire logic [1:0]           fresh_o,
  // the words behind it: waiting, described, counted
  input wire logic                  step_q,
  input wire logic [1:0]            filling_q,
  input wire logic [2:0]            next_q,
  input wire logic [FlagsWidth-1:0] waiting_q,
  input wire logic [2:0]            waiting_turns_q,
  input wire logic [FlagsWidth-1:0] flags_q,
  input wire logic [2:0]            turns_q,
  input wire logic [WordWidth-1:0]  word_q,
  input wire logic [BaseWidth-1:0]  base_q,
  input wire logic                  last_q,
  input wire logic                  wrap_q
);
  localparam int FirstWhole = Rows / Lanes;                                          // words of the first column alone
  localparam int FirstPart = FirstWhole + (Rows % Lanes != 0 ? 1 : 0);
  localparam int LastBegins = ColumnsPerCycle > 1 ? Words - 1 : Rows * (Columns - 1) / Lanes;
  localparam int LastAlone = ColumnsPerCycle > 1 ? Words - 1 : (Rows * (Columns - 1) + Lanes - 1) / Lanes;
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  // No operand is announced before a word can stand at the outputs.
  always @(posedge clk) if (started) begin
    if (Given) assume (rst || filling_q == '0 || operand_soon_i == '0);
    else assert (rst || filling_q == '0 || operand_soon_i == '0);
  end

  function automatic int after(input int word);
    after = word == Words - 1 ? 0 : word + 1;
  endfunction
  function automatic int base(input int word);
    base = ColumnsPerCycle > 1 ? 0 : word * Lanes % Rows;
  endfunction
  function automatic logic crosses(input int word);
    crosses = word != Words - 1 && base(word) + Lanes > Rows;
  endfunction
  function automatic logic ends(input int word);
    ends = word == Words - 1 || base(word) + Lanes >= Rows;
  endfunction
  function automatic logic [2:0] turns(input int word);
    turns = {ends(word), crosses(word), word == LastBegins};
  endfunction
  // Where no word straddles two columns, nobody looks at the lowest flag.
  function automatic logic [FlagsWidth-1:0] flags(input int word);
    flags = {
      WordWidth'(word), BaseWidth'(base(word)), word >= LastBegins, word == LastAlone, after(word) < FirstWhole,
      Rows % Lanes == 0 ? after(word) < FirstWhole : after(word) < FirstPart
    };
  endfunction

  int counted, described, waiting, standing;
  assign counted = int'(word_q);
  assign described = int'(flags_q[FlagsWidth-1-:WordWidth]);
  assign waiting = int'(waiting_q[FlagsWidth-1-:WordWidth]);
  assign standing = int'(word_o);
  logic any_described, any_waiting, any_standing;
  assign any_described = filling_q != '1;
  assign any_waiting = filling_q == '0;
  assign any_standing = any_waiting && step_q == issue_o;
  always @(posedge clk) if (started) begin
    assert (filling_q == '0 || filling_q == 2'b01 || filling_q == '1);
    assert (filling_q == '0 || (step_q && !issue_o));
    assert (!issue_o || step_q);
    assert (counted < Words && int'(base_q) == base(counted));
    assert (last_q == (counted == Words - 1));
    assert (last_q || wrap_q == ends(counted));
    assert (!any_described || (described < Words && counted == after(described)));
    assert (!any_described || (flags_q == flags(described) && turns_q == turns(described)));
    assert (!any_waiting || (waiting < Words && described == after(waiting)));
    assert (!any_waiting || (waiting_q == flags(waiting) && waiting_turns_q == turns(waiting)));
    assert (!any_standing || (standing < Words && waiting == after(standing)));
    assert (!any_standing || {word_o, base_o, capture_o, capture_enough_o, fresh_o} == flags(standing));
    assert (!any_standing || capture_begin_o == (standing == LastBegins));
    assert (!any_waiting || next_q == turns(step_q ? waiting : standing));
    assert (rst || pop_o == (issue_o && ends(standing)));
    assert (shift_o == pop_o);
  end

  // The weights are read in the first clock in which their word stands there.
  logic started_q;
  logic [WordWidth-1:0] before_q;
  always_ff @(posedge clk) begin
    started_q <= started;
    before_q <= word_o;
  end
  always @(posedge clk) if (started && started_q) assert (moved_o || word_o == before_q);

  // Nothing is issued without its operands, nor into a buffer that is still read.
  logic [1:0] there_q;
  logic held_q;
  always_ff @(posedge clk) begin
    there_q <= operand_soon_i;
    held_q <= hold_i[0] || (hold_i[1] && issue_o && capture_begin_o);
  end
  always @(posedge clk) if (started) begin
    assert (!issue_o || any_standing);
    assert (!issue_o || there_q[0]);
    assert (!issue_o || there_q[1] || !crosses(standing));
    assert (!issue_o || !capture_begin_o || !held_q);
  end
endmodule
`default_nettype wire
