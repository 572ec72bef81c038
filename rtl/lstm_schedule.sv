// The order of a step's products: which word of weights, and where a column ends.
//
// A step is one stream of Rows * Columns products, column after column, cut into words of Lanes. Each issue is one word;
// a word can straddle two columns. All outputs are registers, and whether the word there may go is decided a clock ahead.
`default_nettype none
module lstm_schedule #(
  parameter int Rows = 256,           // 4H
  parameter int Columns = 96,         // D + H
  parameter int Lanes = 16,           // at most Rows
  parameter int ColumnsPerCycle = 1,  // above 1 only where Lanes = Rows
  localparam int Words = ColumnsPerCycle > 1 ? (Columns + ColumnsPerCycle - 1) / ColumnsPerCycle
                                             : (Rows * Columns + Lanes - 1) / Lanes,
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1,
  localparam int BaseWidth = $clog2(Rows + 1)
) (
  input  wire logic                 clk,
  input  wire logic                 rst,
  input  wire logic [1:0]           operand_soon_i,   // in the next clock the column at hand and the one after it are there
  input  wire logic [1:0]           hold_i,           // the capture buffer has no room for another step; for two
  output logic                      issue_o,
  output logic                      pop_o,            // this issue ends a column
  output logic                      shift_o,          // equal to pop_o, for what it moves
  output logic      [WordWidth-1:0] word_o,
  output logic                      moved_o,          // it is another word than a clock ago, or there was a reset
  output logic      [BaseWidth-1:0] base_o,           // row of lane 0
  output logic                      capture_o,        // this word holds rows of the last column
  output logic                      capture_begin_o,
  output logic                      capture_enough_o, // from this word on, results can be read at one unit a clock
  output logic      [1:0]           fresh_o           // in the next word, sums start anew: in lanes below Rows % Lanes, in all others
);
  // First column: words 0 … FullWords - 1 whole, then the first PartLanes lanes of the next.
  localparam int FullWords = Rows / Lanes;
  localparam int PartLanes = Rows % Lanes;
  localparam int CaptureBegin = ColumnsPerCycle > 1 ? Words - 1 : Rows * (Columns - 1) / Lanes;
  localparam int CaptureEnough = CaptureBegin + ((ColumnsPerCycle == 1 && Rows * (Columns - 1) % Lanes != 0) ? 1 : 0);
  localparam int BeforeLast = Words > 2 ? Words - 2 : 0;

  // Four words are under way: one is counted, one described, one waits, one stands at the outputs. All go on together. After
  // a reset it takes three clocks until a word stands there, and any operand takes longer.
  logic step_q, step;
  logic [1:0] filling_q;

  // Counted: its number and the row of lane 0, and whether either turns over behind it.
  logic [WordWidth-1:0] word_q;
  logic [BaseWidth-1:0] base_q;
  logic last_q, wrap_q;
  always_ff @(posedge clk) begin
    if (rst) begin
      word_q <= '0;
      base_q <= '0;
      last_q <= Words == 1;
      wrap_q <= Lanes >= Rows;
    end else if (step_q) begin
      word_q <= last_q ? '0 : word_q + WordWidth'(1);
      base_q <= last_q ? '0 : base_q + BaseWidth'(wrap_q ? Lanes - Rows : Lanes);
      last_q <= Words == 1 || (!last_q && int'(word_q) == BeforeLast);
      wrap_q <= last_q ? Lanes >= Rows : int'(base_q) + 2 * Lanes >= (wrap_q ? 2 * Rows : Rows);
    end
  end

  // Described: every flag is a comparison with a constant, which is never negative, because int'(unsigned) is signed in the
  // standard and unsigned in Yosys.
  localparam int FlagsWidth = WordWidth + BaseWidth + 4;
  logic [FlagsWidth-1:0] flags_q, waiting_q;
  logic [2:0] turns_q, waiting_turns_q, next_q;  // {ends a column, lies in two, begins the capture}
  always_ff @(posedge clk) begin
    if (step_q) begin
      flags_q <= {
        word_q,
        base_q,
        int'(word_q) >= CaptureBegin,
        int'(word_q) == CaptureEnough,
        last_q || int'(word_q) < FullWords - 1,
        last_q || int'(word_q) < FullWords - 1 + (PartLanes != 0 ? 1 : 0)
      };
      turns_q <= {
        wrap_q || last_q, PartLanes != 0 && int'(base_q) + Lanes > Rows && !last_q, int'(word_q) == CaptureBegin
      };
      waiting_q <= flags_q;
      waiting_turns_q <= turns_q;
      {word_o, base_o, capture_o, capture_enough_o, fresh_o} <= waiting_q;
    end
  end

  // next_q is of the word that stands at the outputs in the next clock. May that go? Where a step has one word, the one
  // before may take the room.
  logic ends, crosses, begins, held, go;
  assign {ends, crosses, begins} = next_q;
  assign held = hold_i[0] || (Words == 1 && hold_i[1] && issue_o);
  assign go = operand_soon_i[0] && (operand_soon_i[1] || !crosses) && !(begins && held);
  assign step = go || filling_q[0];
  always_ff @(posedge clk) begin
    capture_begin_o <= begins;
    moved_o <= step_q;
    if (step) next_q <= step_q ? turns_q : waiting_turns_q;
    if (rst) begin
      filling_q <= '1;
      step_q <= 1'b1;
      issue_o <= 1'b0;
    end else begin
      filling_q <= filling_q >> 1;
      step_q <= step;
      issue_o <= go;
    end
  end
  fanout #(.Width(1), .Copies(2), .Stages(1)) u_pop (.clk, .rst, .data_i(go && ends), .data_o({shift_o, pop_o}));
endmodule
`default_nettype wire
