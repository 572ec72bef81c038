// Walks through the states and memories of one cell at a time, word after word, for a bus with few addresses.
//
// Selecting goes back to unit 0, and to the first 32 bits of the memory. Latency from an access to the
// stack's ports: 1.
`default_nettype none
module lstm_host #(
  parameter int Cells = 1,
  parameter int HiddenSize = 64,
  parameter int OutputSize = HiddenSize,  // elements of h, or of its projection
  parameter int Units = 1,  // per group, as in `lstm`
  localparam int CellBits = Cells > 1 ? $clog2(Cells) : 1,
  localparam int Groups = (HiddenSize + Units - 1) / Units,
  localparam int GroupWidth = Groups > 1 ? $clog2(Groups) : 1,
  localparam int UnitWidth = Units > 1 ? $clog2(Units) : 1,
  localparam int AddressWidth = GroupWidth + (Units > 1 ? UnitWidth : 0)
) (
  input  wire logic                    clk,
  input  wire logic                    rst,
  input  wire logic [256*Cells-1:0]    words_i,           // of each cell and its 8 memories, constant: depth, 0 for none
  input  wire logic [256*Cells-1:0]    pieces_i,          // 32-bit pieces of a word
  input  wire logic                    select_i,          // one clock: choose
  input  wire logic [CellBits-1:0]     cell_i,
  input  wire logic                    c_i,               // state c instead of h
  input  wire logic [2:0]              memory_i,          // as weight_memory_i of the stack
  output logic      [CellBits-1:0]     cell_o,
  output logic                         c_o,
  output logic [2:0]                   memory_o,
  output logic [31:0]                  words_o,           // of the memory
  output logic [31:0]                  pieces_o,
  input  wire logic                    state_write_i,     // one clock each
  input  wire logic                    state_read_i,      // the state at hand was taken
  input  wire logic                    load_i,
  input  wire logic [31:0]             data_i,
  output logic                         state_end_o,       // all units are done
  output logic                         load_end_o,        // all words are
  // to the stack
  output logic      [AddressWidth-1:0] state_address_o,
  output logic                         state_write_o,
  output logic                         weight_write_o,
  output logic      [31:0]             weight_address_o,  // {word, piece}
  output logic      [31:0]             data_o
);
  localparam int PieceWidth = 12;
  localparam int LoadWidth = 32 - PieceWidth;

  // Address at hand; that of a write goes out together with its data, a clock later.
  logic [GroupWidth-1:0] group_q;
  logic [UnitWidth-1:0] unit_q;
  logic [AddressWidth-1:0] address, write_address_q;
  logic unit_last, state_last;
  if (Units > 1) begin : g_units
    assign address = {group_q, unit_q};
  end else begin : g_unit
    logic unused_unit;
    assign unused_unit = ^unit_q;
    assign address = group_q;
  end
  assign state_address_o = state_write_o ? write_address_q : address;

  always_ff @(posedge clk) begin
    if (rst || select_i) begin
      group_q <= '0;
      unit_q <= '0;
      state_end_o <= 1'b0;
    end else if ((state_write_i || state_read_i) && !state_end_o) begin
      state_end_o <= state_last;
      unit_q <= unit_last ? '0 : unit_q + UnitWidth'(1);
      if (unit_last) group_q <= group_q + GroupWidth'(1);
    end
  end

  logic [PieceWidth-1:0] piece_q;
  logic [LoadWidth-1:0] word_q;
  logic piece_last, word_last, empty_q, end_q;
  assign load_end_o = end_q || empty_q;
  // Accesses are several clocks apart: what is last is known a clock late.
  always_ff @(posedge clk) begin
    unit_last <= int'(unit_q) == Units - 1;
    state_last <= int'(group_q) == (c_o ? HiddenSize - 1 : OutputSize - 1) / Units
      && int'(unit_q) == (c_o ? HiddenSize - 1 : OutputSize - 1) % Units;
    piece_last <= piece_q == PieceWidth'(pieces_o - 32'd1);
    word_last <= word_q == LoadWidth'(words_o - 32'd1);
    empty_q <= words_o == '0;
  end
  always_ff @(posedge clk) begin
    words_o <= words_i[32*(8*int'(cell_o)+int'(memory_o))+:32];
    pieces_o <= pieces_i[32*(8*int'(cell_o)+int'(memory_o))+:32];
    if (rst || select_i) begin
      piece_q <= '0;
      word_q <= '0;
      end_q <= 1'b0;
    end else if (load_i && !load_end_o) begin
      end_q <= piece_last && word_last;
      piece_q <= piece_last ? '0 : piece_q + PieceWidth'(1);
      if (piece_last) word_q <= word_q + LoadWidth'(1);
    end
  end

  always_ff @(posedge clk) begin
    if (rst) begin
      {cell_o, c_o, memory_o} <= '0;
      {state_write_o, weight_write_o} <= '0;
    end else begin
      if (select_i) {cell_o, c_o, memory_o} <= {cell_i, c_i, memory_i};
      state_write_o <= state_write_i && !state_end_o;
      weight_write_o <= load_i && !load_end_o;
    end
    write_address_q <= address;
    weight_address_o <= {word_q, piece_q};
    data_o <= data_i;
  end
endmodule
`default_nettype wire
