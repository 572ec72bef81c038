// Cuts the input stream into steps, and into the banks of a double buffer.
//
// Slots hold a step each: one is filled while others are read. A beat has Elements elements; a step has
// ceil(InputSize / Elements) beats, all of one context. `tlast` inside a step is an error: the rest of the step is filled
// with zeros and ends the sequence. Another context inside a step is an error and otherwise not looked at. What comes is counted at once and written a clock later, so that no path goes through both.
`default_nettype none
module lstm_input #(
  parameter int InputSize = 32,
  parameter int Width = 16,
  parameter int Elements = 1,  // per beat
  parameter int Banks = 1,     // element d goes to bank d mod Banks, word d div Banks
  parameter int Contexts = 1,
  parameter int Slots = 2,     // a power of two
  localparam int Words = (InputSize + Banks - 1) / Banks,
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1,
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int SlotWidth = $clog2(Slots)
) (
  input  wire logic                      clk,
  input  wire logic                      rst,
  input  wire logic [Elements*Width-1:0] data_i,
  input  wire logic                      last_i,
  input  wire logic [ContextWidth-1:0]   context_i,
  input  wire logic                      valid_i,
  output logic                           ready_o,
  output logic      [Banks-1:0]          write_o,
  output logic      [SlotWidth+WordWidth-1:0] write_address_o,  // {slot, word}
  output logic      [Banks*Width-1:0]    write_data_o,
  output logic                           stored_o,         // with the last write of a step; the slots take turns
  output logic      [Slots-1:0]          full_o,
  output logic      [Slots-1:0]          last_o,           // the step in this slot ends a sequence
  output logic      [Slots*ContextWidth-1:0] context_o,    // whose step it is
  input  wire logic [Slots-1:0]          release_i,        // has been read
  output logic                           partial_o,        // a step is half filled
  output logic                           error_o
);
  localparam int Beats = (InputSize + Elements - 1) / Elements;
  localparam int BeforeEnd = Beats > 1 ? Beats - 2 : 0;
  localparam int BeatWidth = Beats > 1 ? $clog2(Beats) : 1;
  localparam int Turns = Banks / Elements;  // beats until the banks come round
  localparam int TurnWidth = Turns > 1 ? $clog2(Turns) : 1;
  if (Banks % Elements != 0) begin : g_check_elements
    $error("elements per input beat must divide the columns per cycle");
  end

  logic padding_q, step_end_q, ready_q, write_q, take, write, store, broken, mixed;
  logic [SlotWidth-1:0] slot_q, slot_next, write_slot_q;
  logic [Slots-1:0] full_q, last_q;
  logic [BeatWidth-1:0] beat_q;
  logic [TurnWidth-1:0] turn_q;
  logic [WordWidth-1:0] word_q;

  assign ready_o = ready_q;
  assign slot_next = slot_q + SlotWidth'(1);
  assign take = valid_i && ready_q;
  assign write = take || padding_q;
  assign broken = take && last_i && !step_end_q;
  assign store = write && step_end_q;
  assign partial_o = beat_q != '0 || padding_q;

  always_ff @(posedge clk) begin
    if (rst) begin
      slot_q <= '0;
      padding_q <= 1'b0;
      full_q <= '0;
      ready_q <= 1'b0;
      write_q <= 1'b0;
      stored_o <= 1'b0;
      error_o <= 1'b0;
    end else begin
      write_q <= write;
      stored_o <= store;
      error_o <= broken || mixed;
      full_q <= full_q & ~release_i;
      ready_q <= !broken && (store ? !full_q[slot_next] : !padding_q && !full_q[slot_q]);
      if (store) begin
        full_q[slot_q] <= 1'b1;
        slot_q <= slot_next;
      end
      if (broken) padding_q <= 1'b1;
      else if (step_end_q) padding_q <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    if (write) begin
      last_q[slot_q] <= padding_q || last_i;
      beat_q <= step_end_q ? '0 : beat_q + BeatWidth'(1);
      step_end_q <= Beats == 1 || (!step_end_q && int'(beat_q) == BeforeEnd);
    end
    if (rst) begin
      beat_q <= '0;
      step_end_q <= Beats == 1;
    end
  end

  // The write
  logic [Elements*Width-1:0] data_q;
  always_ff @(posedge clk) begin
    data_q <= padding_q ? '0 : data_i;
    write_slot_q <= slot_q;
    if (write_q) begin
      turn_q <= turn_q + TurnWidth'(1);
      if (int'(turn_q) == Turns - 1) begin
        turn_q <= '0;
        word_q <= word_q + WordWidth'(1);
      end
    end
    if (rst || stored_o) begin
      turn_q <= '0;
      word_q <= '0;
    end
  end

  for (genvar bank = 0; bank < Banks; bank++) begin : g_bank
    assign write_o[bank] = write_q && int'(turn_q) == bank / Elements;
    assign write_data_o[bank*Width+:Width] = data_q[bank%Elements*Width+:Width];
  end
  if (Contexts == 1) begin : g_alone
    logic unused_context;
    assign unused_context = context_i;
    assign mixed = 1'b0;
    assign context_o = '0;
  end else begin : g_contexts
    logic [Slots*ContextWidth-1:0] context_q;
    always_ff @(posedge clk) if (take && beat_q == '0) context_q[int'(slot_q)*ContextWidth+:ContextWidth] <= context_i;
    assign mixed = take && beat_q != '0 && context_i != context_q[int'(slot_q)*ContextWidth+:ContextWidth];
    assign context_o = context_q;
  end
  assign write_address_o = {write_slot_q, word_q};
  assign full_o = full_q;
  assign last_o = last_q;
endmodule
`default_nettype wire
