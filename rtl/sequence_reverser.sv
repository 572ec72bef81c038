// Turns a sequence's order of steps around: its last MaxSteps steps, from the last to the first.
//
// With Both, each of them comes after the one that is as far from the beginning: first, last, second, last but one, …; no
// sequence may be longer than MaxSteps then. With MaxSteps 1 this is the last step alone. Beats within a step keep their
// order. Two sequences fit: one is written while the other is read. A sequence comes out MemoryStages + 5 clocks after its
// last beat at the earliest.
// Throughput: one beat per clock, and two clocks between sequences.
`default_nettype none
module sequence_reverser #(
  parameter int Width = 16,
  parameter int Beats = 64,  // per step
  parameter int MaxSteps = 64,
  parameter bit Both = 1'b0,
  parameter int MemoryStages = 3,
  localparam int OutWidth = Both ? Width + 1 : Width
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic [Width-1:0] s_data_i,
  input  wire logic             s_last_i,
  input  wire logic             s_valid_i,
  output logic                  s_ready_o,
  output logic   [OutWidth-1:0] m_data_o,  // with Both, above the data: 0 in order, 1 from the last on
  output logic                  m_last_o,  // with Both, of either order
  output logic                  m_valid_o,
  input  wire logic             m_ready_i,
  output logic                  busy_o
);
  localparam int BeatWidth = Beats > 1 ? $clog2(Beats) : 1;
  localparam int CountWidth = $clog2(MaxSteps + 1);
  localparam int Depth = MaxSteps * Beats;
  localparam int AddressWidth = Depth > 1 ? $clog2(Depth) : 1;
  localparam logic [AddressWidth-1:0] LAST_BASE = AddressWidth'((MaxSteps - 1) * Beats);
  localparam int Ahead = MemoryStages + 2;  // beats on their way out of the memory
  localparam int AheadWidth = $clog2(Ahead + 1);
  if (Beats < 1 || MaxSteps < 1) begin : g_check_sizes
    $error("Beats and MaxSteps must be at least 1");
  end

  // Writing: the steps of a half in a ring, so that a longer sequence leaves its last steps.
  logic half_q, ready_q, take, sequence_end, step_end_q;
  logic [1:0] full_q;
  logic [AddressWidth-1:0] write_q, base_q, next_base;
  logic [BeatWidth-1:0] beat_q;
  logic [CountWidth-1:0] steps_q;                 // whole steps in this half
  logic [2*AddressWidth-1:0] last_base_q;         // of each full half: where its last step begins
  logic [2*CountWidth-1:0] last_steps_q;          // and how many steps are to be read
  assign take = s_valid_i && ready_q;
  assign sequence_end = take && step_end_q && s_last_i;
  assign next_base = base_q == LAST_BASE ? '0 : base_q + AddressWidth'(Beats);
  assign s_ready_o = ready_q;

  // Reading: the other half, backwards by steps.
  logic read_half_q, active_q, fetch, fetch_end, read_end_q;
  logic [1:0] release_half;
  logic [AddressWidth-1:0] read_q, read_base_q, read_next;
  logic [BeatWidth-1:0] read_beat_q;
  logic [CountWidth-1:0] left_q;                  // steps to read
  logic [AheadWidth-1:0] ahead_q;
  logic one_left, pop, fetch_last;
  logic turn;  // the step that is read is one from the last on
  logic [AddressWidth-1:0] read_begin, read_after;  // in a sequence, and after a step
  assign fetch = active_q && ahead_q != AheadWidth'(Ahead);
  assign one_left = left_q == CountWidth'(1);
  assign fetch_last = fetch && read_end_q && one_left;
  assign fetch_end = fetch_last && turn;
  assign read_next = read_base_q == '0 ? LAST_BASE : read_base_q - AddressWidth'(Beats);
  assign pop = m_valid_o && m_ready_i;
  assign release_half = {fetch_end && read_half_q, fetch_end && !read_half_q};

  always_ff @(posedge clk) begin
    if (rst) begin
      half_q <= 1'b0;
      ready_q <= 1'b0;
      full_q <= '0;
      write_q <= '0;
      base_q <= '0;
      beat_q <= '0;
      steps_q <= '0;
      step_end_q <= Beats == 1;
    end else begin
      full_q <= (full_q & ~release_half) | {sequence_end && half_q, sequence_end && !half_q};
      ready_q <= sequence_end ? !full_q[!half_q] : !full_q[half_q];
      if (sequence_end) begin
        half_q <= !half_q;
        last_base_q[half_q*AddressWidth+:AddressWidth] <= base_q;
        last_steps_q[half_q*CountWidth+:CountWidth] <=
          steps_q == CountWidth'(MaxSteps) ? steps_q : steps_q + CountWidth'(1);
        write_q <= '0;
        base_q <= '0;
        beat_q <= '0;
        steps_q <= '0;
        step_end_q <= Beats == 1;
      end else if (take && step_end_q) begin
        write_q <= next_base;
        base_q <= next_base;
        beat_q <= '0;
        if (steps_q != CountWidth'(MaxSteps)) steps_q <= steps_q + CountWidth'(1);
        step_end_q <= Beats == 1;
      end else if (take) begin
        write_q <= write_q + AddressWidth'(1);
        beat_q <= beat_q + BeatWidth'(1);
        step_end_q <= int'(beat_q) + 2 == Beats;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      read_half_q <= 1'b0;
      active_q <= 1'b0;
      ahead_q <= '0;
    end else begin
      ahead_q <= ahead_q + AheadWidth'(fetch) - AheadWidth'(pop);
      active_q <= active_q ? !fetch_end : full_q[read_half_q];
      if (fetch_end) read_half_q <= !read_half_q;
    end
  end
  always_ff @(posedge clk) begin
    if (!active_q) begin
      read_q <= read_begin;
      read_base_q <= last_base_q[read_half_q*AddressWidth+:AddressWidth];
      left_q <= last_steps_q[read_half_q*CountWidth+:CountWidth];
      read_beat_q <= '0;
      read_end_q <= Beats == 1;
    end else if (fetch && read_end_q) begin
      read_q <= read_after;
      if (turn) read_base_q <= read_next;
      if (turn) left_q <= left_q - CountWidth'(1);
      read_beat_q <= '0;
      read_end_q <= Beats == 1;
    end else if (fetch) begin
      read_q <= read_q + AddressWidth'(1);
      read_beat_q <= read_beat_q + BeatWidth'(1);
      read_end_q <= int'(read_beat_q) + 2 == Beats;
    end
  end

  if (Both) begin : g_both
    logic turn_q;
    logic [AddressWidth-1:0] in_order_q;  // where the next step in order begins
    always_ff @(posedge clk) begin
      if (!active_q) turn_q <= 1'b0;
      else if (fetch && read_end_q) turn_q <= !turn_q;
      if (fetch && !turn_q) in_order_q <= read_q + AddressWidth'(1);
    end
    assign turn = turn_q;
    assign read_begin = '0;
    assign read_after = turn_q ? in_order_q : read_base_q;
  end else begin : g_around
    assign turn = 1'b1;
    assign read_begin = last_base_q[read_half_q*AddressWidth+:AddressWidth];
    assign read_after = read_next;
  end

  logic [Width-1:0] read_data;
  logic arrive, arrive_last, arrive_turn, unused_second;
  logic [1:0] unused_soon;
  logic [OutWidth:0] unused_next;
  ram #(.Width(Width), .Depth(2 ** (AddressWidth + 1)), .Latency(MemoryStages)) u_memory (
    .clk,
    .write_i(take),
    .write_address_i({half_q, write_q}),
    .write_data_i(s_data_i),
    .read_i(fetch),
    .read_address_i({read_half_q, read_q}),
    .read_data_o(read_data)
  );
  delay #(.Width(1), .Stages(MemoryStages)) u_arrive (.clk, .rst, .data_i(fetch), .data_o(arrive));
  delay #(.Width(1), .Stages(MemoryStages)) u_last (.clk, .rst(1'b0), .data_i(fetch_last), .data_o(arrive_last));
  delay #(.Width(1), .Stages(MemoryStages)) u_turn (.clk, .rst(1'b0), .data_i(turn), .data_o(arrive_turn));
  queue #(.Width(OutWidth + 1), .Depth(Ahead)) u_queue (
    .clk,
    .rst,
    .push_i(arrive),
    .data_i({arrive_last, OutWidth'({arrive_turn, read_data})}),
    .pop_i(pop),
    .shift_i(pop),
    .valid_o({unused_second, m_valid_o}),
    .soon_o(unused_soon),
    .front_o({m_last_o, m_data_o}),
    .next_o(unused_next)
  );
  always_ff @(posedge clk) begin
    if (rst) busy_o <= 1'b0;
    else busy_o <= take || full_q != '0 || steps_q != '0 || beat_q != '0 || active_q || ahead_q != '0;
  end
endmodule
`default_nettype wire
