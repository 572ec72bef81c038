// Two equal sets of lanes, one with wider sums: where the narrow ones overflowed, they would differ.
`default_nettype none
module accumulator_miter #(
  parameter int Rows = 4,
  parameter int Columns = 3,
  parameter int Lanes = 3,
  parameter int WeightWidth = 2,
  parameter int OperandWidth = 2,
  parameter int AccWidth = 5,
  localparam int Wide = AccWidth + 4,
  localparam int Words = (Rows * Columns + Lanes - 1) / Lanes,
  localparam int Filled = Words * Lanes - Rows * Columns,  // lanes of the last word beyond the last column
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1,
  localparam int BaseWidth = $clog2(Rows + 1)
) (
  input wire logic                    clk,
  input wire logic                    rst,
  input wire logic [1:0]              soon,
  input wire logic [OperandWidth-1:0] front,
  input wire logic [OperandWidth-1:0] next
);
  logic issue, issue_q, unused_pop, unused_shift, unused_capture, unused_begin, unused_enough, moved, started;
  logic [WordWidth-1:0] word;
  logic [BaseWidth-1:0] base;
  logic [1:0] fresh;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  lstm_schedule #(.Rows(Rows), .Columns(Columns), .Lanes(Lanes)) u_schedule (
    .clk, .rst, .operand_soon_i(soon), .hold_i(2'b00), .issue_o(issue), .pop_o(unused_pop),
    .shift_o(unused_shift), .word_o(word), .moved_o(moved), .base_o(base), .capture_o(unused_capture), .capture_begin_o(unused_begin),
    .capture_enough_o(unused_enough), .fresh_o(fresh)
  );

  logic [Lanes*AccWidth-1:0] narrow;
  logic [Lanes*Wide-1:0] wide;
  lstm_mac #(
    .Rows(Rows), .Lanes(Lanes), .Words(Words), .WeightWidth(WeightWidth), .OperandWidth(OperandWidth),
    .AccWidth(AccWidth), .MemoryStages(0), .OperandStages(0), .ProductStages(0), .SumStages(0)
  ) u_narrow (
    .clk, .rst, .issue_i(issue), .word_i(word), .moved_i(moved), .base_i(base), .set_i(1'b0), .fresh_i(fresh),
    .front_i(front), .next_i(next), .sums_o(narrow), .weight_write_i(1'b0), .weight_set_i(1'b0), .weight_address_i('0), .weight_data_i('0)
  );
  lstm_mac #(
    .Rows(Rows), .Lanes(Lanes), .Words(Words), .WeightWidth(WeightWidth), .OperandWidth(OperandWidth),
    .AccWidth(Wide), .MemoryStages(0), .OperandStages(0), .ProductStages(0), .SumStages(0)
  ) u_wide (
    .clk, .rst, .issue_i(issue), .word_i(word), .moved_i(moved), .base_i(base), .set_i(1'b0), .fresh_i(fresh),
    .front_i(front), .next_i(next), .sums_o(wide), .weight_write_i(1'b0), .weight_set_i(1'b0), .weight_address_i('0), .weight_data_i('0)
  );

  // No operand before a word can stand at the outputs, which lstm_operands keeps.
  always @(posedge clk) assume (u_schedule.filling_q == '0 || soon == '0);
  // Any weights, the same in both, and zeros where a memory file fills up its last word.
  always @(posedge clk) assume (u_narrow.weights == u_wide.weights);
  if (Filled > 0) begin : g_filled
    always @(posedge clk) assume (int'(word) != Words - 1 || u_narrow.weights[Lanes*WeightWidth-1-:Filled*WeightWidth] == '0);
  end
  always_ff @(posedge clk) issue_q <= issue && !rst;
  for (genvar lane = 0; lane < Lanes; lane++) begin : g_lane
    logic signed [AccWidth-1:0] sum;
    logic signed [Wide-1:0] exact;
    assign sum = narrow[lane*AccWidth+:AccWidth];
    assign exact = wide[lane*Wide+:Wide];
    always @(posedge clk) if (started && issue_q) assert (Wide'(sum) == exact);
  end
endmodule
`default_nettype wire
