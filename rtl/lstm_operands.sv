// Memory of x and h, and the stream of operands that the cell multiplies, column after column, step after step.
//
// Column j of a step is x[j] or h[j - InputSize]; it stands in bank j mod Banks, and one word of all banks is fetched
// per clock. A word of x waits until its step is complete, a word of h until the step before has written it: the
// first elements of h are multiplied while the last are still being computed.
// Latency from h_present_i to the operand: 2 + MemoryStages + SumStages.
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
  parameter int MemoryStages = 2,
  parameter int SumStages = 1,
  parameter int Ahead = 6,     // operands fetched and not yet taken; MemoryStages + SumStages + 3 give one per clock
  localparam int Groups = (HiddenSize + Units - 1) / Units,
  localparam int GroupWidth = Groups > 1 ? $clog2(Groups) : 1,
  localparam int UnitWidth = Units > 1 ? $clog2(Units) : 1
) (
  input  wire logic                          clk,
  input  wire logic                          rst,
  input  wire logic [InElements*XWidth-1:0]  x_i,
  input  wire logic                          x_last_i,
  input  wire logic                          x_valid_i,
  output logic                               x_ready_o,
  input  wire logic                          keep_i,           // a sequence goes on from the states of the one before
  output logic                               error_o,          // the stream's last came inside a step
  // h of the step under way
  input  wire logic [Units-1:0]              h_present_i,
  input  wire logic [GroupWidth-1:0]         h_group_i,
  input  wire logic [Units*HWidth-1:0]       h_i,
  input  wire logic                          h_step_last_i,
  // operands
  output logic      [1:0]                    operand_soon_o,   // front and next are there in the next clock
  output logic      [Banks*OperandWidth-1:0] operand_front_o,
  output logic      [Banks*OperandWidth-1:0] operand_next_o,
  output logic                               operand_initial_o,
  output logic                               operand_last_o,
  input  wire logic                          operand_pop_i,
  input  wire logic                          operand_shift_i,  // equal to it
  // h0 (write) and the last h (read), for the host while idle
  output logic                               idle_o,
  input  wire logic [Units-1:0]              host_write_i,
  input  wire logic [GroupWidth-1:0]         host_group_i,
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
  localparam int StepsWidth = 4;             // steps fetched and not yet written back

  // x
  logic [Banks-1:0] x_write;
  logic [XWordWidth:0] x_write_address;
  logic [Banks*XWidth-1:0] x_write_data;
  logic [1:0] x_full, x_last, x_release;
  logic x_partial, x_stored;
  lstm_input #(.InputSize(InputSize), .Width(XWidth), .Elements(InElements), .Banks(Banks)) u_input (
    .clk,
    .rst,
    .data_i(x_i),
    .last_i(x_last_i),
    .valid_i(x_valid_i),
    .ready_o(x_ready_o),
    .write_o(x_write),
    .write_address_o(x_write_address),
    .write_data_o(x_write_data),
    .stored_o(x_stored),
    .full_o(x_full),
    .last_o(x_last),
    .release_i(x_release),
    .partial_o(x_partial),
    .error_o
  );

  // Fetch: which word, of which step. Flags are registers that keep up with the counters, and whether the next word may
  // be fetched is decided a clock ahead, so that a register says so.
  logic [WordWidth-1:0] word_q;
  logic [HWordWidth-1:0] h_word_q;
  logic [StepsWidth-1:0] steps_q;  // steps fetched wholly and not yet written back
  logic slot_q, first_q, have_state_q, initial_q, step_last_q, idle_q;
  logic settled_q, first_word_q, last_word_q, x_ends_q, h_needed_q, h_needed_next_q;
  logic none_q, one_q, many_q;     // of steps_q: 0, 1, as many as it can count
  logic fetch_q, step_last, written, step_written, step_fetched, initial_d, none_d;
  logic room, x_there, h_known, h_unread, h_there, h_needed;

  assign step_last = first_word_q ? x_last[slot_q] : step_last_q;
  assign written = h_present_i[0];
  assign step_written = written && h_step_last_i;
  assign step_fetched = fetch_q && last_word_q;
  assign idle_o = idle_q;

  // In the next clock: a free place, x of the step, the word of h where one is needed. What is fetched last in a step
  // tells about h of the next too late: where that begins with a word of h, it is waited for in any case.
  assign h_needed = fetch_q ? h_needed_next_q : h_needed_q;
  assign h_known = Split > 0 || !step_fetched;
  assign h_there = settled_q || (one_q && h_unread);
  tally #(.Max(Ahead), .Initial(Ahead)) u_free (.clk, .rst, .come_i(operand_pop_i), .go_i(fetch_q), .soon_o(room));
  tally #(.Max(3)) u_stored (.clk, .rst, .come_i(x_stored), .go_i(step_fetched), .soon_o(x_there));
  // Groups of h that the step under way has written and the next, if it waits for them, has not fetched.
  tally #(.Max(Groups)) u_unread (
    .clk, .rst(rst || step_written || settled_q), .come_i(written), .go_i(fetch_q && h_needed_q), .soon_o(h_unread)
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

  always_comb begin
    initial_d = initial_q;
    if (step_fetched) initial_d = step_last && !keep_i;
    else if (first_word_q && !fetch_q) initial_d = first_q && !(keep_i && have_state_q);
    none_d = none_q;
    if (step_fetched && !step_written) none_d = 1'b0;
    else if (step_written && !step_fetched) none_d = one_q;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      slot_q <= 1'b0;
      first_q <= 1'b1;
      have_state_q <= 1'b0;
      initial_q <= 1'b1;
      settled_q <= 1'b1;
    end else begin
      initial_q <= initial_d;
      settled_q <= initial_d || none_d;  // all of h that this step needs is there
      if (step_fetched) begin
        slot_q <= !slot_q;
        first_q <= step_last;
        have_state_q <= 1'b1;
      end
    end
    if (fetch_q && first_word_q) step_last_q <= step_last;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      fetch_q <= 1'b0;
      steps_q <= '0;
      none_q <= 1'b1;
      one_q <= 1'b0;
      many_q <= 1'b0;
      idle_q <= 1'b1;
    end else begin
      fetch_q <= room && x_there && (!h_needed || (h_known && h_there)) && !many_q;
      // One more step than the decision knew of may be fetched.
      if (step_fetched && !step_written) begin
        steps_q <= steps_q + StepsWidth'(1);
        one_q <= none_q;
        many_q <= steps_q >= StepsWidth'(2 ** StepsWidth - 3);
      end else if (step_written && !step_fetched) begin
        steps_q <= steps_q - StepsWidth'(1);
        one_q <= steps_q == StepsWidth'(2);
        many_q <= steps_q == StepsWidth'(2 ** StepsWidth - 1);
      end
      none_q <= none_d;
      idle_q <= first_q && first_word_q && !fetch_q && none_q && x_full == '0 && !x_partial && !x_valid_i;
    end
  end

  // Banks
  logic [Banks*OperandWidth-1:0] operands;
  logic [Banks*HWidth-1:0] h_read;
  logic [HWordWidth-1:0] host_word, h_group;
  logic [XWordWidth-1:0] x_word;
  logic fetch_late, initial_late, last_late;
  logic [1:0] place, place_late;  // the word is the one where h begins; it lies beyond
  assign host_word = HWordWidth'(host_group_i) + HWordWidth'(int'(host_unit_i) + Skew >= Banks);
  assign h_group = HWordWidth'(idle_q ? host_group_i : h_group_i);
  assign x_word = XWordWidth'(word_q);  // Yosys does not truncate a cast inside a concatenation
  assign place = {int'(word_q) == Split, int'(word_q) > Split};
  // A register behind the choice between x and h keeps the way from the memories to the queue short.
  logic [Banks*OperandWidth-1:0] operands_q;
  logic arrived, initial_arrived, last_arrived;
  delay #(.Width(1), .Stages(MemoryStages)) u_fetch (.clk, .rst, .data_i(fetch_q), .data_o(fetch_late));
  delay #(.Width(1), .Stages(SumStages)) u_arrived (.clk, .rst, .data_i(fetch_late), .data_o(arrived));
  delay #(.Width(Banks * OperandWidth + 2), .Stages(SumStages)) u_operands (
    .clk, .rst(1'b0), .data_i({initial_late, last_late, operands}), .data_o({initial_arrived, last_arrived, operands_q})
  );
  delay #(.Width(4), .Stages(MemoryStages)) u_flags (
    .clk, .rst(1'b0), .data_i({initial_q, step_last, place}), .data_o({initial_late, last_late, place_late})
  );

  for (genvar bank = 0; bank < Banks; bank++) begin : g_bank
    localparam int Unit = (bank - Skew + Banks) % Banks;  // whose h comes here
    localparam int Carry = Unit + Skew >= Banks ? 1 : 0;
    logic [XWidth-1:0] x_read;
    logic [OperandWidth-1:0] x_operand, h_operand;
    ram #(.Width(XWidth), .Depth(2 ** (XWordWidth + 1)), .Latency(MemoryStages)) u_x (
      .clk,
      .write_i(x_write[bank]),
      .write_address_i(x_write_address),
      .write_data_i(x_write_data[bank*XWidth+:XWidth]),
      .read_i(1'b1),
      .read_address_i({slot_q, x_word}),
      .read_data_o(x_read)
    );
    if (Unit < Units) begin : g_h
      logic [HWordWidth-1:0] h_word;
      assign h_word = h_group + HWordWidth'(Carry);
      ram #(.Width(HWidth), .Depth(2 ** (HWordWidth + 1)), .Latency(MemoryStages)) u_h (
        .clk,
        .write_i(idle_q ? host_write_i[Unit] : h_present_i[Unit]),
        .write_address_i({idle_q, h_word}),
        .write_data_i(idle_q ? host_data_i : h_i[Unit*HWidth+:HWidth]),
        .read_i(1'b1),
        .read_address_i({!idle_q && initial_q, idle_q ? host_word : h_word_q}),
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

  logic [1:0] unused_next, unused_valid;
  queue #(.Width(Banks * OperandWidth + 2), .Depth(Ahead)) u_queue (
    .clk,
    .rst,
    .push_i(arrived),
    .data_i({initial_arrived, last_arrived, operands_q}),
    .pop_i(operand_pop_i),
    .shift_i(operand_shift_i),
    .valid_o(unused_valid),
    .soon_o(operand_soon_o),
    .front_o({operand_initial_o, operand_last_o, operand_front_o}),
    .next_o({unused_next, operand_next_o})
  );
endmodule
`default_nettype wire
