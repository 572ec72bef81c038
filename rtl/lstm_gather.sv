// Complete sums of a step, caught as the lanes finish them and handed on by units: rows i, f, g, o of each.
//
// The last column's words are written to a buffer (`capture_i`), so that the lanes go on with the next step at once.
// From `complete_i` on, one group of Units units is read per clock; one unit per four clocks where Lanes < 4. Reading
// waits for `room_i`; where the buffer holds several steps, it goes on with the next at once. Reads follow it by SumStages.
// `read_o` leads `rows_o` by MemoryStages + 2 * SumStages, so that others
// can fetch what belongs to it.
`default_nettype none
module lstm_gather #(
  parameter int Rows = 256,
  parameter int Columns = 96,
  parameter int Lanes = 16,
  parameter int ColumnsPerCycle = 1,
  parameter int Units = 1,  // per group; above 1 only where Lanes = Rows
  parameter int Steps = 1,  // that the buffer holds; a power of two
  parameter int AccWidth = 32,
  parameter int MemoryStages = 3,
  parameter int SumStages = 1,
  localparam int Window = 4 * Units,
  localparam int GroupCount = (Rows + Window - 1) / Window,
  localparam int GroupWidth = GroupCount > 1 ? $clog2(GroupCount) : 1,
  localparam int PartLanes = 4,  // lanes that share a copy of the buffer's control
  localparam int Parts = (Lanes + PartLanes - 1) / PartLanes
) (
  input  wire logic                       clk,
  input  wire logic                       rst,
  input  wire logic [Parts-1:0]           capture_i,  // all equal
  input  wire logic                       complete_i,  // with the captured word from which on a group a clock can be read
  input  wire logic                       room_i,
  input  wire logic [Lanes*AccWidth-1:0]  sums_i,
  output logic                            start_o,   // the first read of a step
  output logic                            done_o,    // the last read of a step: the buffer is free after SumStages
  output logic                            read_o,
  output logic      [GroupWidth-1:0]      group_o,
  output logic                            group_last_o,
  output logic      [Window*AccWidth-1:0] rows_o
);
  localparam int Offset = ColumnsPerCycle > 1 ? 0 : Rows * (Columns - 1) % Lanes;  // lane of row 0
  localparam int BufferWords = (Offset + Rows + Lanes - 1) / Lanes;
  localparam int AddressWidth = Steps * BufferWords > 1 ? $clog2(Steps * BufferWords) : 1;
  // A window of rows starts at a multiple of Stride lanes and may wrap around into the lanes of the next word.
  localparam bit Serial = Lanes < 4;
  localparam int Stride = Serial ? 1 : (Units > 1 || Lanes % 4 == 0) ? Window : Lanes % 2 == 0 ? 2 : 1;
  localparam int Wrapping = Serial || Lanes % 4 == 0 ? 0 : 4 - Stride;
  localparam int Positions = (Lanes + Stride - 1) / Stride;
  localparam int PositionWidth = Positions > 1 ? $clog2(Positions) : 1;
  localparam int BeforeLast = GroupCount > 1 ? GroupCount - 2 : 0;
  localparam int Advance = Serial ? 1 : Window / Stride;

  logic [AddressWidth-1:0] address_q, address_d, address_begin;  // of the step under way; of the next
  logic [PositionWidth-1:0] position_q;
  logic [GroupWidth-1:0] group_q;
  logic [1:0] row_q;  // of the unit, where rows come one by one
  logic begins, turns_q, waiting_q, reading_q, reading, unit_read, done_d;

  // The last read is known a clock ahead.
  assign unit_read = reading_q && (!Serial || row_q == 2'd3);
  assign reading = (reading_q && !done_o) || begins;
  if (Serial) begin : g_done_serial
    assign done_d = reading_q && int'(group_q) == GroupCount - 1 && row_q == 2'd2;
  end else if (GroupCount == 1) begin : g_done_whole
    assign done_d = reading;
  end else begin : g_done
    assign done_d = reading_q && int'(group_q) == BeforeLast;
  end

  // Steps that are complete wait, if there is more than one, in order.
  if (Steps == 1) begin : g_one
    assign begins = (waiting_q || complete_i) && room_i;
    assign address_begin = '0;
    always_ff @(posedge clk) begin
      if (rst) waiting_q <= 1'b0;
      else waiting_q <= (waiting_q || complete_i) && !room_i;
    end
  end else begin : g_several
    localparam int CountWidth = $clog2(Steps + 1);
    logic [CountWidth-1:0] waiting_steps_q, waiting_steps;
    assign waiting_steps = waiting_steps_q + CountWidth'(complete_i) - CountWidth'(begins);
    assign begins = (waiting_q || complete_i) && room_i && (!reading_q || done_o);
    logic [AddressWidth-1:0] first_q, following;  // word of the step under way; of the one after it
    assign following = int'(first_q) == (Steps - 1) * BufferWords ? '0 : first_q + AddressWidth'(BufferWords);
    assign address_begin = following;
    always_ff @(posedge clk) begin
      if (rst) begin
        waiting_steps_q <= '0;
        waiting_q <= 1'b0;
        first_q <= '0;
      end else begin
        waiting_steps_q <= waiting_steps;
        waiting_q <= waiting_steps != '0;
        if (done_o) first_q <= following;
      end
    end
  end
  always_ff @(posedge clk) begin
    if (rst) begin
      reading_q <= 1'b0;
      done_o <= 1'b0;
      start_o <= 1'b0;
    end else begin
      reading_q <= reading;
      done_o <= done_d;
      start_o <= begins;
    end
  end

  assign address_d = done_o ? address_begin : address_q + AddressWidth'(reading_q && turns_q);
  always_ff @(posedge clk) begin
    address_q <= rst ? '0 : address_d;
    if (reading_q) begin
      row_q <= row_q + 2'd1;
      position_q <= position_q + (turns_q ? PositionWidth'(Advance) - PositionWidth'(Positions) : PositionWidth'(Advance));
      turns_q <= int'(position_q) + 2 * Advance >= (turns_q ? 2 * Positions : Positions);
    end
    if (unit_read) group_q <= group_q + GroupWidth'(1);
    if (rst || done_o) begin
      row_q <= '0;
      position_q <= PositionWidth'(Offset / Stride);
      turns_q <= Offset / Stride + Advance >= Positions;
      group_q <= '0;
    end
  end

  // The buffer, in parts with addresses of their own. Lanes into which a window wraps around are read one by one. Where none
  // does, a part that is not wanted reads zeros, from its upper addresses, so that what is left is an OR. A buffer in cells
  // of logic is then read at once, and the registers stand before its addresses instead of behind its words; there are so
  // few of many lanes, because the wires into it are many.
  localparam bit Aligned = SumStages > 0 && !Serial && Wrapping == 0 && Positions > 1;
  localparam int BlockWords = Lanes < 32 ? 8 : 4;
  localparam int ReadStages = Aligned && Steps * BufferWords < BlockWords ? 0 : MemoryStages;
  localparam int ReadWait = SumStages + MemoryStages - ReadStages;
  localparam int PlaceWidth = AddressWidth + int'(Aligned);
  logic [Lanes*AccWidth-1:0] lanes;
  logic [Parts*AddressWidth-1:0] read_addresses;
  logic [PositionWidth-1:0] read_position;
  fanout #(.Width(AddressWidth), .Copies(Parts), .Stages(1 + ReadWait)) u_addresses (
    .clk, .rst(1'b0), .data_i(address_d), .data_o(read_addresses)
  );
  logic [Parts-1:0] reads;
  fanout #(.Width(1), .Copies(Parts), .Stages(ReadWait)) u_reads (
    .clk, .rst(1'b0), .data_i(reading_q), .data_o(reads)
  );
  delay #(.Width(PositionWidth), .Stages(SumStages)) u_read_position (
    .clk, .rst(1'b0), .data_i(position_q), .data_o(read_position)
  );
  for (genvar part = 0; part < Parts; part++) begin : g_part
    localparam int First = part == 0 ? Wrapping : part * PartLanes;
    localparam int End = part == Parts - 1 ? Lanes : (part + 1) * PartLanes;
    logic [AddressWidth-1:0] write_address_q, read_address;
    logic unwanted;
    delay #(.Width(1), .Stages(ReadWait)) u_unwanted (
      .clk, .rst(1'b0), .data_i(int'(position_q) != part * PartLanes / Stride), .data_o(unwanted)
    );
    assign read_address = read_addresses[part*AddressWidth+:AddressWidth];
    (* keep *) always_ff @(posedge clk) begin
      if (rst) write_address_q <= '0;
      else if (capture_i[part]) begin
        write_address_q <= int'(write_address_q) == Steps * BufferWords - 1 ? '0 : write_address_q + AddressWidth'(1);
      end
    end
    if (part == 0) begin : g_low
      logic wraps;
      assign wraps = int'(read_position) * Stride + Window > Lanes;
      for (genvar lane = 0; lane < Wrapping; lane++) begin : g_lane
        logic [AddressWidth-1:0] low_address;
        assign low_address = read_address + AddressWidth'(wraps && int'(read_position) * Stride > lane);
        ram #(.Width(AccWidth), .Depth(Steps * BufferWords), .Latency(MemoryStages)) u_low (
          .clk,
          .write_i(capture_i[part]),
          .write_address_i(write_address_q),
          .write_data_i(sums_i[lane*AccWidth+:AccWidth]),
          .read_i(reads[part]),
          .read_address_i(low_address),
          .read_data_o(lanes[lane*AccWidth+:AccWidth])
        );
      end
      if (Wrapping == 0) begin : g_no_wrap
        logic unused_wraps;
        assign unused_wraps = wraps;
      end
    end
    ram #(
      .Width((End - First) * AccWidth), .Depth(Aligned ? 2 ** PlaceWidth : Steps * BufferWords),
      .Latency(ReadStages), .Zeros(Aligned)
    ) u_buffer (
      .clk,
      .write_i(capture_i[part]),
      .write_address_i(PlaceWidth'(write_address_q)),
      .write_data_i(sums_i[First*AccWidth+:(End-First)*AccWidth]),
      .read_i(reads[part]),
      .read_address_i(PlaceWidth'({unwanted, read_address})),
      .read_data_o(lanes[First*AccWidth+:(End-First)*AccWidth])
    );
  end

  // The window at the position. Many windows are joined in several steps, and lie far from where their rows go.
  localparam int Levels = Serial || Positions <= 4 ? 1 : ($clog2(Positions) + 1) / 2;
  localparam int Joins = Levels > 1 ? Levels + 1 : 1;
  if (Serial) begin : g_serial
    logic [PositionWidth-1:0] position;
    logic [4*AccWidth-1:0] unit_q;
    logic [AccWidth-1:0] row;
    delay #(.Width(PositionWidth), .Stages(MemoryStages)) u_position (
      .clk, .rst(1'b0), .data_i(read_position), .data_o(position)
    );
    select #(.Width(AccWidth), .Count(Lanes)) u_row (.words_i(lanes), .index_i(position), .word_o(row));
    always_ff @(posedge clk) unit_q <= {row, unit_q[4*AccWidth-1:AccWidth]};
    delay #(.Width(4 * AccWidth), .Stages(2 * SumStages)) u_rows (.clk, .rst(1'b0), .data_i(unit_q), .data_o(rows_o));
  end else begin : g_window
    localparam int Extended = (Positions - 1) * Stride + Window;
    logic [Extended*AccWidth-1:0] extended;
    logic [Positions*Window*AccWidth-1:0] windows;
    if (Wrapping > 0) begin : g_wrapped
      assign extended = {lanes[Wrapping*AccWidth-1:0], lanes};
    end else begin : g_padded
      assign extended = (Extended * AccWidth)'(lanes);
    end
    for (genvar i = 0; i < Positions; i++) begin : g_position
      assign windows[i*Window*AccWidth+:Window*AccWidth] = extended[i*Stride*AccWidth+:Window*AccWidth];
    end
    if (SumStages == 0) begin : g_select
      logic [PositionWidth-1:0] position;
      delay #(.Width(PositionWidth), .Stages(MemoryStages)) u_position (
        .clk, .rst(1'b0), .data_i(read_position), .data_o(position)
      );
      select #(.Width(Window * AccWidth), .Count(Positions)) u_window (
        .words_i(windows), .index_i(position), .word_o(rows_o)
      );
    end else begin : g_join
      // Of windows that are not wanted, zeros are left.
      logic [Positions*Window*AccWidth-1:0] wanted;
      logic [Window*AccWidth-1:0] joined;
      if (Aligned) begin : g_aligned
        delay #(.Width(Positions * Window * AccWidth), .Stages(SumStages)) u_wanted (
          .clk, .rst(1'b0), .data_i(windows), .data_o(wanted)
        );
      end else begin : g_overlapping
        logic [Positions-1:0] unwanted;
        logic [Window*Positions-1:0] clear;  // a copy for each row of the window
        for (genvar i = 0; i < Positions; i++) begin : g_unwanted
          assign unwanted[i] = int'(read_position) != i;
        end
        fanout #(.Width(Positions), .Copies(Window), .Stages(MemoryStages)) u_clear (
          .clk, .rst(1'b0), .data_i(unwanted), .data_o(clear)
        );
        for (genvar i = 0; i < Positions; i++) begin : g_window_of_lanes
          for (genvar row = 0; row < Window; row++) begin : g_row
            delay #(.Width(AccWidth), .Stages(SumStages)) u_row (
              .clk,
              .rst(clear[row*Positions+i]),
              .data_i(windows[(i*Window+row)*AccWidth+:AccWidth]),
              .data_o(wanted[(i*Window+row)*AccWidth+:AccWidth])
            );
          end
        end
      end
      join_words #(.Width(Window * AccWidth), .Count(Positions)) u_rows (.clk, .words_i(wanted), .word_o(joined));
      delay #(.Width(Window * AccWidth), .Stages(Joins - Levels)) u_joined (
        .clk, .rst(1'b0), .data_i(joined), .data_o(rows_o)
      );
    end
  end
  // Rows that come one by one take one clock more to assemble.
  delay #(.Width(2 + GroupWidth), .Stages(Joins * SumStages + (Serial ? 1 : 0))) u_read (
    .clk, .rst, .data_i({unit_read, done_o, group_q}), .data_o({read_o, group_last_o, group_o})
  );
endmodule
`default_nettype wire
