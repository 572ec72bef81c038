// Memory of x and h, and the stream of operands that the cell multiplies, column after column, step after step.
//
// Column j of a step is x[j] or h[j - InputSize]; it stands in bank j mod Banks, and one word of all banks is fetched
// per clock. A word of x waits until its step is complete, a word of h until the step before has written it: the
// first elements of h are multiplied while the last are still being computed.
// Latency from h_present_i to the operand: 2 + MemoryStages + 3 * SumStages.
`default_nettype none
module lstm_operands #(
  parameter int InputSize = 32,
  parameter int HiddenSize = 64,
  parameter int Banks = 1,     // columns per clock
  parameter int Units = 1,     // elements of h per group
  parameter int InElements = 1,
  parameter int XWidth = 16,
  parameter int XShift = 0,
  parameter int HWidth = 16,
  parameter int HShift = 0,
  parameter int OperandWidth = 16,
  parameter int MemoryStages = 3,
  parameter int SumStages = 1,
  parameter int Ahead = 6,     // operands fetched and not yet taken; MemoryStages + 2 * SumStages + 3 give one per clock
  parameter int Contexts = 1,  // sequences that take turns; a power of two
  parameter logic [Contexts-1:0] Keeps = '1,  // contexts that keep_i is for
  localparam int ContextWidth = Contexts > 1 ? $clog2(Contexts) : 1,
  localparam int Groups = (HiddenSize + Units - 1) / Units,
  localparam int GroupWidth = Groups > 1 ? $clog2(Groups) : 1,
  localparam int UnitWidth = Units > 1 ? $clog2(Units) : 1
) (
  input  wire logic                          clk,
  input  wire logic                          rst,
  input  wire logic [InElements*XWidth-1:0]  x_i,
  input  wire logic                          x_last_i,
  input  wire logic [ContextWidth-1:0]       x_context_i,      // one for all beats of a step
  input  wire logic                          x_valid_i,
  output logic                               x_ready_o,
  input  wire logic                          keep_i,           // a sequence goes on from the states of the one before
  output logic                               error_o,          // the stream's last came inside a step
  // h of the step under way
  input  wire logic [Units-1:0]              h_present_i,
  input  wire logic [GroupWidth-1:0]         h_group_i,
  input  wire logic [Units*HWidth-1:0]       h_i,
  input  wire logic                          h_step_last_i,
  input  wire logic [ContextWidth-1:0]       h_context_i,
  // operands
  output logic      [1:0]                    operand_soon_o,   // front and next are there in the next clock
  output logic      [Banks*OperandWidth-1:0] operand_front_o,
  output logic      [Banks*OperandWidth-1:0] operand_next_o,
  output logic                               operand_initial_o,
  output logic                               operand_last_o,
  output logic      [ContextWidth-1:0]       operand_context_o,
  input  wire logic                          operand_pop_i,
  input  wire logic                          operand_shift_i,  // equal to it
  // h0 (write) and the last h (read), for the host while idle
  output logic                               idle_o,
  input  wire logic [Units-1:0]              host_write_i,
  input  wire logic [GroupWidth-1:0]         host_group_i,
  input  wire logic [ContextWidth-1:0]       host_context_i,
  input  wire logic [UnitWidth-1:0]          host_unit_i,
  input  wire logic [HWidth-1:0]             host_data_i,
  output logic      [HWidth-1:0]             host_data_o       // MemoryStages after host_group_i
);
  localparam int Words = (InputSize + HiddenSize + Banks - 1) / Banks;
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1;
  localparam int XWords = (InputSize + Banks - 1) / Banks;
  localparam int XWordWidth = XWords > 1 ? $clog2(XWords) : 1;
  localparam int Split = InputSize / Banks;  // the first word with an element of h
  localparam int Skew = InputSize % Banks;   // bank of h[0]
  localparam int HWords = Words - Split;
  localparam int HWordWidth = HWords > 1 ? $clog2(HWords) : 1;
  // Constants are never negative: int'(unsigned) is signed in the standard and unsigned in Yosys.
  localparam int BeforeLast = Words > 1 ? Words - 2 : 0;
  localparam int BeforeXEnds = XWords > 1 ? XWords - 2 : 0;
  localparam int BeforeH = Split > 1 ? Split - 2 : 0;
  localparam int StepsWidth = Contexts > 8 ? $clog2(Contexts) + 1 : 4;  // steps fetched and not yet written back
  // A slot is filled, read and given back while the others feed the lanes: where a step is a few words, two are too few.
  localparam int Slots = Contexts == 1 || HWords > 4 ? 2 : 8;
  localparam int SlotWidth = $clog2(Slots);

  // h comes from far away: a register is where it arrives.
  logic [Units-1:0] h_present;
  logic [GroupWidth-1:0] h_arrived_group;
  logic [Units*HWidth-1:0] h;
  logic step_written;  // the last of a step is there
  logic [ContextWidth-1:0] h_context;
  delay #(.Width(Units + 1), .Stages(SumStages)) u_h_present (
    .clk, .rst, .data_i({h_present_i[0] && h_step_last_i, h_present_i}), .data_o({step_written, h_present})
  );
  delay #(.Width(GroupWidth + Units * HWidth + ContextWidth), .Stages(SumStages)) u_h_arrived (
    .clk, .rst(1'b0), .data_i({h_group_i, h_i, h_context_i}), .data_o({h_arrived_group, h, h_context})
  );

  // x
  logic [Banks-1:0] x_write;
  logic [SlotWidth+XWordWidth-1:0] x_write_address;
  logic [Banks*XWidth-1:0] x_write_data;
  logic [Slots-1:0] x_full, x_last, x_release;
  logic [Slots*ContextWidth-1:0] x_context;
  logic x_partial, x_stored;
  lstm_input #(
    .InputSize(InputSize), .Width(XWidth), .Elements(InElements), .Banks(Banks), .Contexts(Contexts), .Slots(Slots)
  ) u_input (
    .clk,
    .rst,
    .data_i(x_i),
    .last_i(x_last_i),
    .context_i(x_context_i),
    .valid_i(x_valid_i),
    .ready_o(x_ready_o),
    .write_o(x_write),
    .write_address_o(x_write_address),
    .write_data_o(x_write_data),
    .stored_o(x_stored),
    .full_o(x_full),
    .last_o(x_last),
    .context_o(x_context),
    .release_i(x_release),
    .partial_o(x_partial),
    .error_o
  );

  // Fetch: which word, of which step. Flags are registers that keep up with the counters, and whether the next word may
  // be fetched is decided a clock ahead, so that a register says so.
  logic [WordWidth-1:0] word_q;
  logic [HWordWidth-1:0] h_word_q;
  logic [StepsWidth-1:0] steps_q;  // steps fetched wholly and not yet written back
  logic [SlotWidth-1:0] slot_q, slot_next, slot_at;  // of the step at hand, of the next, of the one in the next clock
  logic [Contexts-1:0] first_q;                // each context's next step begins a sequence
  logic [ContextWidth-1:0] context_q;          // of the step at hand
  logic initial_q, step_last_q, idle_q;
  logic settled_q, first_word_q, last_word_q, x_ends_q, h_needed_q, h_needed_next_q;
  logic none_q, one_q, many_q;     // of steps_q: 0, 1, as many as it can count
  logic fetch, fetch_q, read_q;    // equal: what decides, and what the memories read by
  logic step_last, written, step_fetched;
  logic room, x_there, h_known, h_unread, h_there, h_needed;

  assign step_last = first_word_q ? x_last[slot_q] : step_last_q;
  assign written = h_present[0];
  assign step_fetched = fetch_q && last_word_q;
  assign idle_o = idle_q;

  // In the next clock: a free place, x of the step, the word of h where one is needed. What is fetched last in a step
  // tells about h of the next too late: where that begins with a word of h, it is waited for in any case.
  assign h_needed = fetch_q ? h_needed_next_q : h_needed_q;
  assign h_known = Split > 0 || !step_fetched;
  assign h_there = settled_q || (one_q && h_unread);
  tally #(.Max(Ahead), .Initial(Ahead)) u_free (.clk, .rst, .come_i(operand_pop_i), .go_i(fetch_q), .soon_o(room));
  // Whose step it is has to be known before its first word is.
  logic x_known;
  delay #(.Width(1), .Stages(Contexts > 1 ? 1 : 0)) u_known (.clk, .rst, .data_i(x_stored), .data_o(x_known));
  tally #(.Max(Slots + 1)) u_stored (.clk, .rst, .come_i(x_known), .go_i(step_fetched), .soon_o(x_there));

  // Groups of h that the step under way has written and the step at hand, if it waits for them, has not fetched.
  logic h_unread_reset, h_unread_read;
  assign h_unread_reset = rst || step_written || (Contexts == 1 && settled_q);
  assign h_unread_read = fetch_q && h_needed_q && (Contexts == 1 || !settled_q);
  tally #(.Max(Groups)) u_unread (
    .clk, .rst(h_unread_reset), .come_i(written), .go_i(h_unread_read), .soon_o(h_unread)
  );

  always_comb begin
    x_release = '0;
    x_release[slot_q] = fetch_q && x_ends_q;
  end

  always_ff @(posedge clk) begin
    if (fetch_q) begin
      word_q <= word_q + WordWidth'(1);
      if (h_needed_q) h_word_q <= h_word_q + HWordWidth'(1);
      first_word_q <= 1'b0;
      last_word_q <= Words > 1 && int'(word_q) == BeforeLast;
      x_ends_q <= XWords > 1 && int'(word_q) == BeforeXEnds;
      h_needed_q <= h_needed_next_q;
      h_needed_next_q <= Split == 0 || (int'(word_q) >= BeforeH && !(Words > 1 && int'(word_q) == BeforeLast));
    end
    if (rst || step_fetched) begin
      word_q <= '0;
      h_word_q <= '0;
      first_word_q <= 1'b1;
      last_word_q <= Words == 1;
      x_ends_q <= XWords == 1;
      h_needed_q <= Split == 0;
      h_needed_next_q <= Split == 0 || (Words > 1 && Split == 1);
    end
  end

  assign slot_next = slot_q + SlotWidth'(1);
  assign slot_at = step_fetched ? slot_next : slot_q;
  always_ff @(posedge clk) begin
    if (rst) slot_q <= '0;
    else slot_q <= slot_at;
    if (fetch_q && first_word_q) step_last_q <= step_last;
  end

  // Whether the step at hand begins from h0, and whether all of h that it needs is there (settled_q) or comes from the step
  // under way (one_q), so that it is read as it is written.
  logic between;  // the step at hand may still change
  assign between = first_word_q && !fetch_q;
  if (Contexts == 1) begin : g_alone
    logic initial_d, none_d, have_state_q, unused_context;
    assign unused_context = ^x_context;
    assign context_q = '0;
    always_comb begin
      initial_d = initial_q;
      if (step_fetched) initial_d = step_last && !keep_i;
      else if (between) initial_d = first_q && !(keep_i && have_state_q);
      none_d = none_q;
      if (step_fetched && !step_written) none_d = 1'b0;
      else if (step_written && !step_fetched) none_d = one_q;
    end
    always_ff @(posedge clk) begin
      if (rst) begin
        first_q <= 1'b1;
        have_state_q <= 1'b0;
        initial_q <= 1'b1;
        settled_q <= 1'b1;
        none_q <= 1'b1;
        one_q <= 1'b0;
      end else begin
        initial_q <= initial_d;
        settled_q <= initial_d || none_d;
        none_q <= none_d;
        if (step_fetched && !step_written) one_q <= none_q;
        else if (step_written && !step_fetched) one_q <= steps_q == StepsWidth'(2);
        if (step_fetched) begin
          first_q <= step_last;
          have_state_q <= 1'b1;
        end
      end
    end
  end else begin : g_contexts
    lstm_contexts #(.Contexts(Contexts), .StepsWidth(StepsWidth), .Keeps(Keeps)) u_contexts (
      .clk,
      .rst,
      .keep_i,
      .between_i(between),
      .next_i(x_context[int'(slot_at)*ContextWidth+:ContextWidth]),
      .fetched_i(step_fetched),
      .last_i(step_last),
      .steps_i(steps_q),
      .written_i(step_written),
      .first_o(first_q),
      .none_o(none_q),
      .context_o(context_q),
      .initial_o(initial_q),
      .settled_o(settled_q),
      .one_o(one_q)
    );
  end

  assign fetch = room && x_there && (!h_needed || (h_known && h_there)) && !many_q;
  fanout #(.Width(1), .Copies(2), .Stages(1)) u_fetch (.clk, .rst, .data_i(fetch), .data_o({read_q, fetch_q}));
  always_ff @(posedge clk) begin
    if (rst) begin
      steps_q <= '0;
      many_q <= 1'b0;
      idle_q <= 1'b1;
    end else begin
      // One more step than the decision knew of may be fetched.
      if (step_fetched && !step_written) begin
        steps_q <= steps_q + StepsWidth'(1);
        many_q <= steps_q >= StepsWidth'(2 ** StepsWidth - 3);
      end else if (step_written && !step_fetched) begin
        steps_q <= steps_q - StepsWidth'(1);
        many_q <= steps_q == StepsWidth'(2 ** StepsWidth - 1);
      end
      idle_q <= first_q == '1 && first_word_q && !fetch_q && none_q && x_full == '0 && !x_partial && !x_valid_i;
    end
  end

  // Banks
  logic [Banks*OperandWidth-1:0] operands;
  logic [Banks*HWidth-1:0] h_read;
  logic [HWordWidth-1:0] host_word, h_group;
  logic [ContextWidth-1:0] h_owner;
  logic [XWordWidth-1:0] x_word;
  logic fetch_late;
  logic [1:0] place, place_late;  // the word is the one where h begins; it lies beyond
  assign host_word = HWordWidth'(host_group_i) + HWordWidth'(int'(host_unit_i) + Skew >= Banks);
  assign h_group = HWordWidth'(idle_q ? host_group_i : h_arrived_group);
  assign h_owner = idle_q ? host_context_i : h_context;
  assign x_word = XWordWidth'(word_q);  // Yosys does not truncate a cast inside a concatenation
  assign place = {int'(word_q) == Split, int'(word_q) > Split};
  // A register behind the choice between x and h keeps the way from the memories to the queue short.
  logic [Banks*OperandWidth-1:0] operands_q;
  logic arrived;
  delay #(.Width(1), .Stages(MemoryStages)) u_fetch_late (.clk, .rst, .data_i(read_q), .data_o(fetch_late));
  delay #(.Width(1), .Stages(SumStages)) u_arrived (.clk, .rst, .data_i(fetch_late), .data_o(arrived));
  // What goes with a word: {context, initial, last}; a single context takes no bit.
  localparam int TagWidth = 2 + $clog2(Contexts);
  logic [TagWidth-1:0] tag, tag_late, tag_arrived, tag_front, unused_next;
  assign tag = TagWidth'({context_q, initial_q, step_last});
  delay #(.Width(Banks * OperandWidth + TagWidth), .Stages(SumStages)) u_operands (
    .clk, .rst(1'b0), .data_i({tag_late, operands}), .data_o({tag_arrived, operands_q})
  );
  delay #(.Width(TagWidth + 2), .Stages(MemoryStages)) u_flags (
    .clk, .rst(1'b0), .data_i({tag, place}), .data_o({tag_late, place_late})
  );

  for (genvar bank = 0; bank < Banks; bank++) begin : g_bank
    localparam int Unit = (bank - Skew + Banks) % Banks;  // whose h comes here
    localparam int Carry = Unit + Skew >= Banks ? 1 : 0;
    logic [XWidth-1:0] x_read;
    logic [OperandWidth-1:0] x_operand, h_operand;
    ram #(.Width(XWidth), .Depth(2 ** (XWordWidth + SlotWidth)), .Latency(MemoryStages)) u_x (
      .clk,
      .write_i(x_write[bank]),
      .write_address_i(x_write_address),
      .write_data_i(x_write_data[bank*XWidth+:XWidth]),
      .read_i(read_q),
      .read_address_i({slot_q, x_word}),
      .read_data_o(x_read)
    );
    if (Unit < Units) begin : g_h
      // Words of h, then words of h0, of each context
      localparam int PlaceWidth = HWordWidth + $clog2(Contexts);
      logic [HWordWidth-1:0] h_word;
      logic [PlaceWidth-1:0] write_place, read_place;
      assign h_word = h_group + HWordWidth'(Carry);
      assign write_place = PlaceWidth'({h_owner, h_word});
      assign read_place = PlaceWidth'(idle_q ? {host_context_i, host_word} : {context_q, h_word_q});
      ram #(.Width(HWidth), .Depth(2 ** (PlaceWidth + 1)), .Latency(MemoryStages)) u_h (
        .clk,
        .write_i(idle_q ? host_write_i[Unit] : h_present[Unit]),
        .write_address_i({idle_q, write_place}),
        .write_data_i(idle_q ? host_data_i : h[Unit*HWidth+:HWidth]),
        .read_i(read_q || idle_q),
        .read_address_i({!idle_q && initial_q, read_place}),
        .read_data_o(h_read[bank*HWidth+:HWidth])
      );
    end else begin : g_none
      assign h_read[bank*HWidth+:HWidth] = '0;
    end
    assign x_operand = OperandWidth'($signed(x_read)) << XShift;
    assign h_operand = OperandWidth'($signed(h_read[bank*HWidth+:HWidth])) << HShift;
    assign operands[bank*OperandWidth+:OperandWidth] =
      place_late[0] || (place_late[1] && bank >= Skew) ? h_operand : x_operand;
  end
  if (Banks > 1) begin : g_host_bank
    localparam int BankWidth = $clog2(2 * Banks);
    logic [BankWidth-1:0] place_of_unit, host_bank, host_bank_late;
    assign place_of_unit = BankWidth'(host_unit_i) + BankWidth'(Skew);
    assign host_bank = int'(place_of_unit) >= Banks ? place_of_unit - BankWidth'(Banks) : place_of_unit;
    delay #(.Width(BankWidth), .Stages(MemoryStages)) u_host_bank (
      .clk, .rst(1'b0), .data_i(host_bank), .data_o(host_bank_late)
    );
    assign host_data_o = h_read[int'(host_bank_late)*HWidth+:HWidth];
  end else begin : g_host
    assign host_data_o = h_read;
  end

  logic [1:0] unused_valid;
  queue #(.Width(Banks * OperandWidth + TagWidth), .Depth(Ahead), .Hidden(SumStages > 0)) u_queue (
    .clk,
    .rst,
    .push_i(arrived),
    .data_i({tag_arrived, operands_q}),
    .pop_i(operand_pop_i),
    .shift_i(operand_shift_i),
    .valid_o(unused_valid),
    .soon_o(operand_soon_o),
    .front_o({tag_front, operand_front_o}),
    .next_o({unused_next, operand_next_o})
  );
  assign {operand_initial_o, operand_last_o} = tag_front[1:0];
  assign operand_context_o = Contexts > 1 ? tag_front[TagWidth-1-:ContextWidth] : '0;
endmodule
`default_nettype wire
