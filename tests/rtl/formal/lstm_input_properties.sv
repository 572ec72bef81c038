// lstm_input's counters stay in range and agree; nothing is written into a slot that still waits to be read.
`default_nettype none
module lstm_input_properties #(
  parameter int InputSize = 32,
  parameter int Width = 16,
  parameter int Elements = 1,
  parameter int Banks = 1,
  parameter bit Given = 1'b0,
  localparam int Words = (InputSize + Banks - 1) / Banks,
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1,
  localparam int Beats = (InputSize + Elements - 1) / Elements,
  localparam int BeatWidth = Beats > 1 ? $clog2(Beats) : 1,
  localparam int Turns = Banks / Elements,
  localparam int TurnWidth = Turns > 1 ? $clog2(Turns) : 1
) (
  input wire logic                   clk,
  input wire logic                   rst,
  input wire logic                   last_i,
  input wire logic                   valid_i,
  input wire logic                   ready_o,
  input wire logic [Banks-1:0]       write_o,
  input wire logic [WordWidth:0]     write_address_o,
  input wire logic [Banks*Width-1:0] write_data_o,
  input wire logic                   stored_o,
  input wire logic [1:0]             full_o,
  input wire logic [1:0]             last_o,
  input wire logic [1:0]             release_i,
  input wire logic                   partial_o,
  input wire logic                   error_o,
  input wire logic                   slot_q,
  input wire logic                   padding_q,
  input wire logic                   step_end_q,
  input wire logic [BeatWidth-1:0]   beat_q,
  input wire logic [TurnWidth-1:0]   turn_q,
  input wire logic [WordWidth-1:0]   word_q
);
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  logic take, broken, broken_q, write, write_q, stored_q, padded_q, ends, ends_q, stored_slot_q;
  logic [BeatWidth-1:0] beat_late_q;
  assign take = valid_i && ready_o;
  assign broken = take && last_i && int'(beat_q) != Beats - 1;
  assign write = take || padding_q;
  assign ends = padding_q || (take && last_i);
  always_ff @(posedge clk) begin
    broken_q <= broken && !rst;
    write_q <= write && !rst;
    stored_q <= write && step_end_q && !rst;
    stored_slot_q <= slot_q;
    beat_late_q <= rst ? '0 : beat_q;
    ends_q <= ends;
    padded_q <= padding_q;
  end
  always @(posedge clk) if (started) begin
    if (Given) assume (rst || (release_i & ~full_o) == '0); else assert (rst || (release_i & ~full_o) == '0);
    assert (int'(beat_q) < Beats && int'(turn_q) < Turns && int'(word_q) < Words);
    assert (int'(beat_late_q) == int'(word_q) * Turns + int'(turn_q));
    assert (step_end_q == (int'(beat_q) == Beats - 1));
    assert (partial_o == (beat_q != '0));              // what is padded has begun
    assert (!padding_q || beat_q != '0);
    assert (!write || !full_o[slot_q]);                // nothing is overwritten
    assert (!write_q || write_address_o == {stored_slot_q, word_q});
    assert ((write_o != '0) == write_q);               // a clock later
    assert (!padded_q || write_data_o == '0);
    assert (!(padding_q && ready_o));
    assert (stored_o == stored_q);
    assert (error_o == broken_q);                      // at once, for one clock, and only then
    assert (!stored_q || (full_o[stored_slot_q] && last_o[stored_slot_q] == ends_q));
  end
endmodule
`default_nettype wire
