// Memory of constants read from a file of hexadecimal words, one per line; where Writable, the host may replace them.
//
// Read latency: 0 (combinational), 1 (registered read), 2 (registered read and a plain output register, which block
// RAM absorbs) or 3 (and registers before the address, as in ram). The address must be below Depth. Deep memories with a
// registered read ask for block RAM.
// A registered read reads where `read_i` is high; else its register keeps the last word, and the memory rests.
// The host writes pieces of 32 bits at {word, piece}, the lowest bits first, while nobody reads; each takes two clocks.
`default_nettype none
module rom #(
  parameter int Width = 16,
  parameter int Depth = 64,
  parameter int Latency = 1,
  parameter File = "",
  parameter bit Writable = 1'b0,
  localparam int AddressWidth = Depth > 1 ? $clog2(Depth) : 1
) (
  input  wire logic                    clk,
  input  wire logic                    read_i,
  input  wire logic [AddressWidth-1:0] address_i,
  output logic      [Width-1:0]        data_o,
  input  wire logic                    write_i,
  input  wire logic [31:0]             write_address_i,  // {word, piece of PieceWidth bits}
  input  wire logic [31:0]             write_data_i
);
  localparam int BlockDepth = 16;  // from here on, block RAM
  localparam int PieceWidth = 12;
  localparam int Pieces = (Width + 31) / 32;
  if (Latency < 0 || Latency > 3) begin : g_check_latency
    $error("Latency must be 0, 1, 2 or 3");
  end
  if (Writable && (Pieces > 2 ** PieceWidth || AddressWidth > 32 - PieceWidth)) begin : g_check_pieces
    $error("a writable memory has at most 4096 pieces of 32 bits per word and 2^20 words");
  end

  // A power of two, so that Yosys takes blocks of that depth and needs no multiplexer behind them; no block is deeper
  // than DeepestBlock, so that one is needed there in any case, and exact words take the fewest blocks.
  localparam int DeepestBlock = 16384;
  localparam int Words = Depth > DeepestBlock ? Depth : 2 ** AddressWidth;
  logic [Width-1:0] read_data;
  logic read, reads;
  logic [AddressWidth-1:0] address;
  delay #(.Width(AddressWidth + 1), .Stages(Latency > 2 ? 1 : 0)) u_inputs (
    .clk, .rst(1'b0), .data_i({read_i, address_i}), .data_o({reads, address})
  );
`ifdef MEMORIES_NEVER_REST
  assign read = reads || 1'b1;
`else
  assign read = reads;
`endif
  if (Writable) begin : g_writable
    logic [Pieces-1:0] write_q;
    logic [AddressWidth-1:0] write_word_q;
    logic [31:0] write_data_q;
    logic unused_write;
    assign unused_write = ^{write_address_i, write_data_q};
    always_ff @(posedge clk) begin
      for (int p = 0; p < Pieces; p++) write_q[p] <= write_i && int'(write_address_i[PieceWidth-1:0]) == p;
      write_word_q <= write_address_i[PieceWidth+:AddressWidth];
      write_data_q <= write_data_i;
    end

    (* no_rw_check *) logic [Width-1:0] memory[0:2**AddressWidth-1];
    initial if (File != "") $readmemh(File, memory);
    for (genvar p = 0; p < Pieces; p++) begin : g_piece
      localparam int Bits = Width - 32 * p < 32 ? Width - 32 * p : 32;
      always @(posedge clk) if (write_q[p]) memory[write_word_q][32*p+:Bits] <= write_data_q[Bits-1:0];
    end
    if (Latency == 0) begin : g_combinational
      logic unused_read;
      assign unused_read = read;
      assign read_data = memory[address];
    end else begin : g_registered
      always_ff @(posedge clk) if (read) read_data <= memory[address];
    end
  end else begin : g_constant
    logic unused_write;
    assign unused_write = ^{write_i, write_address_i, write_data_i};
    if (Latency == 0) begin : g_combinational
      logic [Width-1:0] memory[0:2**AddressWidth-1];
      logic unused_clocking;
      assign unused_clocking = &{1'b0, clk, read};
      initial if (File != "") $readmemh(File, memory);
      assign read_data = memory[address];
    end else if (Depth >= BlockDepth) begin : g_block
      (* rom_style = "block" *) logic [Width-1:0] memory[0:Words-1];
      initial if (File != "") $readmemh(File, memory);
      always_ff @(posedge clk) if (read) read_data <= memory[address];
    end else begin : g_small
      logic [Width-1:0] memory[0:2**AddressWidth-1];
      initial if (File != "") $readmemh(File, memory);
      always_ff @(posedge clk) if (read) read_data <= memory[address];
    end
  end
  delay #(.Width(Width), .Stages(Latency > 1 ? 1 : 0)) u_output (.clk, .rst(1'b0), .data_i(read_data), .data_o);
endmodule
`default_nettype wire
