// lstm_operands' flags agree with the counters that they shadow; its queue, its slots and its counters keep their ranges.
`default_nettype none
module lstm_operands_properties #(
  parameter int InputSize = 32,
  parameter int HiddenSize = 64,
  parameter int Banks = 1,
  parameter int Units = 1,
  parameter int MemoryStages = 2,
  parameter int Ahead = 5,
  parameter int SumStages = 1,
  parameter bit Given = 1'b0,
  localparam int Groups = (HiddenSize + Units - 1) / Units,
  localparam int GroupWidth = Groups > 1 ? $clog2(Groups) : 1,
  localparam int Words = (InputSize + HiddenSize + Banks - 1) / Banks,
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1,
  localparam int XWords = (InputSize + Banks - 1) / Banks,
  localparam int XWordWidth = XWords > 1 ? $clog2(XWords) : 1,
  localparam int Split = InputSize / Banks,
  localparam int HWords = Words - Split,
  localparam int HWordWidth = HWords > 1 ? $clog2(HWords) : 1,
  localparam int StepsWidth = 4,
  localparam int CountWidth = $clog2(Groups + 1),
  localparam int FreeWidth = $clog2(Ahead + 1)
) (
  input wire logic                  clk,
  input wire logic                  rst,
  input wire logic [Units-1:0]      h_present,
  input wire logic [GroupWidth-1:0] h_arrived_group,
  input wire logic                  step_written,  // with the last of a step
  input wire logic                  operand_pop_i,
  input wire logic                  operand_shift_i,
  input wire logic                  idle_o,
  input wire logic [WordWidth-1:0]  word_q,
  input wire logic [HWordWidth-1:0] h_word_q,
  input wire logic [StepsWidth-1:0] steps_q,
  input wire logic                  slot_q,
  input wire logic                  initial_q,
  input wire logic                  first_q,
  input wire logic                  have_state_q,
  input wire logic                  first_word_q,
  input wire logic                  last_word_q,
  input wire logic                  x_ends_q,
  input wire logic                  h_needed_q,
  input wire logic                  h_needed_next_q,
  input wire logic                  none_q,
  input wire logic                  one_q,
  input wire logic                  many_q,
  input wire logic                  fetch_q,
  input wire logic                  fetch_late,
  input wire logic                  arrived,
  input wire logic                  settled_q,
  input wire logic                  x_stored,
  input wire logic                  x_slot,  // that is being filled
  input wire logic [1:0]            x_full,
  input wire logic [1:0]            x_release,
  input wire logic                  keep_i,
  input wire logic [Ahead-1:0]      queued,  // which places of the queue are taken
  // counts: free places, steps of x that are stored, groups of h that are not fetched
  input wire logic [FreeWidth-1:0]  free,
  input wire logic [1:0]            stored,
  input wire logic [CountWidth-1:0] unread
);
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));

  // The environment: h comes group after group, for steps that were fetched; operands are taken that are there; whether
  // states are kept is a matter of the whole run here.
  logic keep_q;
  always_ff @(posedge clk) keep_q <= keep_i;
  always @(posedge clk) if (started) assume (rst || keep_i == keep_q);
  logic written, step_fetched, fetch_unread;
  logic [CountWidth-1:0] groups_q;  // of the step under way
  assign written = h_present[0];
  assign step_fetched = fetch_q && last_word_q;
  assign fetch_unread = fetch_q && h_needed_q && !settled_q;
  always_ff @(posedge clk) groups_q <= rst || step_written ? '0 : groups_q + CountWidth'(written);
  always @(posedge clk) if (started && !rst) begin
    if (Given) begin
      assume (!written || (steps_q != '0 && int'(h_arrived_group) == int'(groups_q)));
      assume (step_written == (written && int'(groups_q) == Groups - 1));
      assume (!operand_pop_i || queued[0]);
      assume (operand_shift_i == operand_pop_i);
    end else begin
      assert (!written || (steps_q != '0 && int'(h_arrived_group) == int'(groups_q)));
      assert (step_written == (written && int'(groups_q) == Groups - 1));
      assert (!operand_pop_i || queued[0]);
      assert (operand_shift_i == operand_pop_i);
    end
  end

  // How many operands are fetched and not taken, in the queue or on their way to it.
  localparam int Stages = MemoryStages + SumStages;
  localparam int TakenWidth = $clog2(Ahead + Stages + 1);
  logic [TakenWidth-1:0] taken;
  logic [Stages:0] flight, flight_q;  // fetches of the last clocks
  assign flight = (flight_q << 1) | (Stages + 1)'(fetch_q);
  always_ff @(posedge clk) flight_q <= rst ? '0 : flight;
  always_comb begin
    taken = '0;
    for (int i = 0; i < Ahead; i++) taken += TakenWidth'(queued[i]);
    for (int i = 1; i <= Stages; i++) taken += TakenWidth'(flight[i]);
  end
  // Slots of x turn about: the oldest that is still full, and the one that is being filled.
  logic oldest;
  assign oldest = slot_q ^ (int'(word_q) >= XWords);

  int word;
  assign word = int'(word_q);
  always @(posedge clk) if (started) begin
    assert (word < Words);
    assert (first_word_q == (word == 0));
    assert (last_word_q == (word == Words - 1));
    assert (x_ends_q == (word == XWords - 1));
    assert (h_needed_q == (word >= Split));
    assert (last_word_q || h_needed_next_q == (word + 1 >= Split));
    assert (int'(h_word_q) == (word > Split ? word - Split : 0));

    assert (none_q == (steps_q == '0));
    assert (settled_q == (initial_q || none_q));
    assert (one_q == (steps_q == StepsWidth'(1)));
    assert (many_q == (int'(steps_q) >= 2 ** StepsWidth - 2));
    assert (steps_q != '1 || !fetch_q);                // neither overflows
    assert (!step_written || rst || !none_q);          // nor underflows

    assert (int'(groups_q) < Groups);
    assert (int'(unread) <= int'(groups_q));
    assert (rst || !fetch_unread || (one_q && unread != '0));  // h is fetched after it was written, never before

    assert (int'(taken) + int'(free) == Ahead);
    assert (rst || fetch_late == flight[MemoryStages] && arrived == flight[Stages]);

    assert (int'(stored) + int'(x_stored) == int'(x_full[0]) + int'(x_full[1]) + (word >= XWords ? 1 : 0));
    assert (!fetch_q || word >= XWords || x_full[slot_q]);
    assert (x_full == '0 || x_full[oldest]);
    assert (x_slot == oldest ^ ^x_full);
    assert (!first_word_q || initial_q == (first_q && !(keep_q && have_state_q)));
    assert (!idle_o || (none_q && !fetch_q && first_q && first_word_q));
    assert (!idle_o || (x_full == '0 && stored == '0 && !x_stored));
  end
endmodule
`default_nettype wire
