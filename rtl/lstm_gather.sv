// Complete sums of a step, caught as the lanes finish them and handed on by units: rows i, f, g, o of each.
//
// The last column's words are written to a buffer (`capture_i`), so that the lanes go on with the next step at once.
// From `enough_i` on, one group of Units units is read per clock; one unit per four clocks where Lanes < 4. Reading
// waits for `room_i`. `read_o` leads `rows_o` by MemoryStages + 2 * SumStages, so that others can fetch what belongs to it.
`default_nettype none
module lstm_gather #(
  parameter int Rows = 256,
  parameter int Columns = 96,
  parameter int Lanes = 16,
  parameter int ColumnsPerCycle = 1,
  parameter int Units = 1,  // per group; above 1 only where Lanes = Rows
  parameter int AccWidth = 32,
  parameter int MemoryStages = 2,
  parameter int SumStages = 1,
  localparam int Window = 4 * Units,
  localparam int GroupCount = (Rows + Window - 1) / Window,
  localparam int GroupWidth = GroupCount > 1 ? $clog2(GroupCount) : 1
) (
  input  wire logic                       clk,
  input  wire logic                       rst,
  input  wire logic                       capture_i,
  input  wire logic                       enough_i,
  input  wire logic                       room_i,
  input  wire logic [Lanes*AccWidth-1:0]  sums_i,
  output logic                            start_o,   // the first read of a step
  output logic                            done_o,    // the last read of a step: the buffer is free
  output logic                            read_o,
  output logic      [GroupWidth-1:0]      group_o,
  output logic                            group_last_o,
  output logic      [Window*AccWidth-1:0] rows_o
);
  localparam int Offset = ColumnsPerCycle > 1 ? 0 : Rows * (Columns - 1) % Lanes;  // lane of row 0
  localparam int BufferWords = (Offset + Rows + Lanes - 1) / Lanes;
  localparam int AddressWidth = BufferWords > 1 ? $clog2(BufferWords) : 1;
  // A window of rows starts at a multiple of Stride lanes and may wrap around into the lanes of the next word.
  localparam bit Serial = Lanes < 4;
  localparam int Stride = Serial ? 1 : (Units > 1 || Lanes % 4 == 0) ? Window : Lanes % 2 == 0 ? 2 : 1;
  localparam int Wrapping = Serial || Lanes % 4 == 0 ? 0 : 4 - Stride;
  localparam int Positions = (Lanes + Stride - 1) / Stride;
  localparam int PositionWidth = Positions > 1 ? $clog2(Positions) : 1;
  localparam int Advance = Serial ? 1 : Window / Stride;

  logic [AddressWidth-1:0] write_address_q, address_q;
  logic [PositionWidth-1:0] position_q;
  logic [GroupWidth-1:0] group_q;
  logic [1:0] row_q;  // of the unit, where rows come one by one
  logic complete, waiting_q, reading_q, unit_read, group_last_q;

  assign complete = capture_i && enough_i;
  assign unit_read = reading_q && (!Serial || row_q == 2'd3);
  assign done_o = unit_read && group_last_q;

  always_ff @(posedge clk) begin
    if (capture_i) write_address_q <= write_address_q + AddressWidth'(1);
    if (rst || (capture_i && int'(write_address_q) == BufferWords - 1)) write_address_q <= '0;
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      waiting_q <= 1'b0;
      reading_q <= 1'b0;
      start_o <= 1'b0;
    end else begin
      waiting_q <= (waiting_q || complete) && !room_i;
      reading_q <= reading_q ? !done_o : (waiting_q || complete) && room_i;
      start_o <= (waiting_q || complete) && room_i;
    end
  end

  always_ff @(posedge clk) begin
    if (reading_q) begin
      row_q <= row_q + 2'd1;
      if (int'(position_q) + Advance >= Positions) begin
        position_q <= position_q + PositionWidth'(Advance) - PositionWidth'(Positions);
        address_q <= address_q + AddressWidth'(1);
      end else begin
        position_q <= position_q + PositionWidth'(Advance);
      end
    end
    if (unit_read) begin
      group_q <= group_q + GroupWidth'(1);
      group_last_q <= int'(group_q) + 2 == GroupCount;
    end
    if (rst || done_o) begin
      row_q <= '0;
      position_q <= PositionWidth'(Offset / Stride);
      address_q <= '0;
      group_q <= '0;
      group_last_q <= GroupCount == 1;
    end
  end

  logic [Lanes*AccWidth-1:0] lanes;
  if (Wrapping == 0) begin : g_buffer
    ram #(.Width(Lanes * AccWidth), .Depth(BufferWords), .Latency(MemoryStages)) u_buffer (
      .clk,
      .write_i(capture_i),
      .write_address_i(write_address_q),
      .write_data_i(sums_i),
      .read_i(1'b1),
      .read_address_i(address_q),
      .read_data_o(lanes)
    );
  end else begin : g_buffers
    logic wraps;
    assign wraps = int'(position_q) * Stride + Window > Lanes;
    for (genvar lane = 0; lane < Wrapping; lane++) begin : g_low
      logic [AddressWidth-1:0] low_address;
      assign low_address = address_q + AddressWidth'(wraps && int'(position_q) * Stride > lane);
      ram #(.Width(AccWidth), .Depth(BufferWords), .Latency(MemoryStages)) u_low (
        .clk,
        .write_i(capture_i),
        .write_address_i(write_address_q),
        .write_data_i(sums_i[lane*AccWidth+:AccWidth]),
        .read_i(1'b1),
        .read_address_i(low_address),
        .read_data_o(lanes[lane*AccWidth+:AccWidth])
      );
    end
    ram #(.Width((Lanes - Wrapping) * AccWidth), .Depth(BufferWords), .Latency(MemoryStages)) u_high (
      .clk,
      .write_i(capture_i),
      .write_address_i(write_address_q),
      .write_data_i(sums_i[Lanes*AccWidth-1:Wrapping*AccWidth]),
      .read_i(1'b1),
      .read_address_i(address_q),
      .read_data_o(lanes[Lanes*AccWidth-1:Wrapping*AccWidth])
    );
  end

  // The window at the position.
  if (Serial) begin : g_serial
    logic [PositionWidth-1:0] position;
    logic [4*AccWidth-1:0] unit_q;
    logic [AccWidth-1:0] row;
    delay #(.Width(PositionWidth), .Stages(MemoryStages)) u_position (
      .clk, .rst(1'b0), .data_i(position_q), .data_o(position)
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
        .clk, .rst(1'b0), .data_i(position_q), .data_o(position)
      );
      select #(.Width(Window * AccWidth), .Count(Positions)) u_window (
        .words_i(windows), .index_i(position), .word_o(rows_o)
      );
    end else begin : g_join
      // Windows that are not wanted are cleared in their register, which is free; what is left is an OR.
      logic [Positions-1:0] unwanted;
      logic [Window*Positions-1:0] clear;  // a copy for each row of the window
      logic [Positions*Window*AccWidth-1:0] wanted;
      logic [Window*AccWidth-1:0] joined;
      for (genvar i = 0; i < Positions; i++) begin : g_unwanted
        assign unwanted[i] = int'(position_q) != i;
      end
      fanout #(.Width(Positions), .Copies(Window), .Stages(MemoryStages)) u_clear (
        .clk, .rst(1'b0), .data_i(unwanted), .data_o(clear)
      );
      for (genvar i = 0; i < Positions; i++) begin : g_wanted
        for (genvar row = 0; row < Window; row++) begin : g_row
          delay #(.Width(AccWidth), .Stages(SumStages)) u_row (
            .clk,
            .rst(clear[row*Positions+i]),
            .data_i(windows[(i*Window+row)*AccWidth+:AccWidth]),
            .data_o(wanted[(i*Window+row)*AccWidth+:AccWidth])
          );
        end
      end
      always_comb begin
        joined = '0;
        for (int i = 0; i < Positions; i++) joined |= wanted[i*Window*AccWidth+:Window*AccWidth];
      end
      delay #(.Width(Window * AccWidth), .Stages(SumStages)) u_rows (
        .clk, .rst(1'b0), .data_i(joined), .data_o(rows_o)
      );
    end
  end
  // Rows that come one by one take one clock more to assemble.
  delay #(.Width(2 + GroupWidth), .Stages(Serial ? 1 : 0)) u_read (
    .clk, .rst, .data_i({unit_read, done_o, group_q}), .data_o({read_o, group_last_o, group_o})
  );
endmodule
`default_nettype wire
