// The order of a step's products: which word of weights, and where a column ends.
//
// A step is one stream of Rows * Columns products, column after column, cut into words of Lanes. Each issue is one word;
// a word can straddle two columns. All outputs are registers: the word after the next is described while the next one
// waits, and whether it may go is decided a clock ahead.
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

  localparam int BeforeBegin = CaptureBegin > 0 ? CaptureBegin - 1 : 0;
  localparam int BeforeEnough = CaptureEnough > 0 ? CaptureEnough - 1 : 0;
  localparam int BeforeFull = FullWords > 2 ? FullWords - 2 : 0;
  localparam int BeforeLast = Words > 2 ? Words - 2 : 0;

  // The word that waits: its number, and what is known of it.
  logic [WordWidth-1:0] word_q, word_d;
  logic [BaseWidth-1:0] base_q, base_d;
  logic last_q, wrap_q, end_q, cross_q, capture_q, begin_q, enough_q;
  logic last_d, wrap_d, cross_d, capture_d, begin_d, enough_d;
  logic [1:0] fresh_q, fresh_d;

  // Every flag of the next word is a comparison of this word with a constant: short paths. The constant is never
  // negative, because int'(unsigned) is signed in the standard and unsigned in Yosys.
  always_comb begin
    word_d = last_q ? '0 : word_q + WordWidth'(1);
    base_d = last_q ? '0 : base_q + BaseWidth'(wrap_q ? Lanes - Rows : Lanes);
    last_d = Words == 1 || (!last_q && int'(word_q) == BeforeLast);
    wrap_d = int'(base_q) + 2 * Lanes >= (wrap_q ? 2 * Rows : Rows);
    cross_d = PartLanes != 0 && int'(base_q) + 2 * Lanes > (wrap_q ? 2 * Rows : Rows) && !last_d;
    if (last_q) begin
      wrap_d = Lanes >= Rows;
      cross_d = 1'b0;
    end
    begin_d = last_q ? CaptureBegin == 0 : CaptureBegin != 0 && int'(word_q) == BeforeBegin;
    capture_d = begin_d || (!last_q && capture_q);
    enough_d = last_q ? CaptureEnough == 0 : CaptureEnough != 0 && int'(word_q) == BeforeEnough;
    fresh_d[1] = last_d || (last_q ? FullWords > 1 : fresh_q[1] && int'(word_q) != BeforeFull);
    fresh_d[0] = fresh_d[1] || (PartLanes != 0 && (last_q ? FullWords == 1 : FullWords >= 2 && int'(word_q) == BeforeFull));
  end

  // The word that stands at the outputs: there is one long before the first operands.
  logic ready_q, ends_q, crosses_q, step;
  assign step = issue_o || !ready_q;
  always_ff @(posedge clk) begin
    if (rst) begin
      word_q <= '0;
      base_q <= '0;
      last_q <= Words == 1;
      wrap_q <= Lanes >= Rows;
      end_q <= Lanes >= Rows || Words == 1;
      cross_q <= 1'b0;
      capture_q <= CaptureBegin == 0;
      begin_q <= CaptureBegin == 0;
      enough_q <= CaptureEnough == 0;
      fresh_q <= {Words == 1 || FullWords > 1, Words == 1 || FullWords > 1 || PartLanes != 0};
    end else if (step) begin
      word_q <= word_d;
      base_q <= base_d;
      last_q <= last_d;
      wrap_q <= wrap_d;
      end_q <= wrap_d || last_d;
      cross_q <= cross_d;
      capture_q <= capture_d;
      begin_q <= begin_d;
      enough_q <= enough_d;
      fresh_q <= fresh_d;
    end
  end
  always_ff @(posedge clk) begin
    if (step) begin
      word_o <= word_q;
      base_o <= base_q;
      ends_q <= end_q;
      crosses_q <= cross_q;
      capture_o <= capture_q;
      capture_begin_o <= begin_q;
      capture_enough_o <= enough_q;
      fresh_o <= fresh_q;
    end
  end

  // May the word that stands there in the next clock go?
  logic crosses, begins, ends, held, go;
  assign crosses = issue_o ? cross_q : crosses_q;
  assign begins = issue_o ? begin_q : capture_begin_o;
  assign ends = issue_o ? end_q : ends_q;
  assign held = hold_i[0] || (hold_i[1] && issue_o && capture_begin_o);
  assign go = operand_soon_i[0] && (operand_soon_i[1] || !crosses) && !(begins && held);
  always_ff @(posedge clk) begin
    if (rst) begin
      ready_q <= 1'b0;
      issue_o <= 1'b0;
    end else begin
      ready_q <= 1'b1;
      issue_o <= go;
    end
  end
  fanout #(.Width(1), .Copies(2), .Stages(1)) u_pop (.clk, .rst, .data_i(go && ends), .data_o({shift_o, pop_o}));
endmodule
`default_nettype wire
