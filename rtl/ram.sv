// Memory with one write and one read port.
//
// Read latency: 0 (combinational), 1 (registered read), 2 (registered read and a plain output register, which block
// RAM absorbs) or 3 (and registers before the address, and of block RAM before every input: it lies where it lies).
// A word must not be read in the clock in which it is written. Deep memories with a registered read ask for block RAM.
// A registered read reads where `read_i` is high; else its register keeps the last word, and the memory rests. The output register takes that word in any case, or, where Paced, with the next `read_i`.
`default_nettype none
module ram #(
  parameter int Width = 16,
  parameter int Depth = 64,
  parameter int Latency = 1,
  parameter bit Paced = 1'b0,  // words move on by read_i alone; Latency is at most 2
  parameter bit Zeros = 1'b0,  // the upper half of the words is zero: nothing is written there
  localparam int AddressWidth = Depth > 1 ? $clog2(Depth) : 1
) (
  input  wire logic                    clk,
  input  wire logic                    write_i,
  input  wire logic [AddressWidth-1:0] write_address_i,
  input  wire logic [Width-1:0]        write_data_i,
  input  wire logic                    read_i,
  input  wire logic [AddressWidth-1:0] read_address_i,
  output logic      [Width-1:0]        read_data_o
);
  localparam int BlockDepth = 8;  // from here on, block RAM
  if (Latency < 0 || Latency > (Paced ? 2 : 3)) begin : g_check_latency
    $error("Latency must be from 0 to 3, and at most 2 where Paced");
  end

  logic write, reads;
  logic [AddressWidth-1:0] written, write_address, read_address;
  logic [Width-1:0] write_data;
  delay #(.Width(AddressWidth + 1), .Stages(Latency > 2 ? 1 : 0)) u_read (
    .clk, .rst(1'b0), .data_i({read_i, read_address_i}), .data_o({reads, read_address})
  );
  delay #(.Width(AddressWidth + Width + 1), .Stages(Latency > 2 && Depth >= BlockDepth ? 1 : 0)) u_write (
    .clk, .rst(1'b0), .data_i({write_i, write_address_i, write_data_i}), .data_o({write, written, write_data})
  );
  assign write_address = Zeros ? written & ~(AddressWidth'(1) << (AddressWidth - 1)) : written;

  logic read, move;
`ifdef MEMORIES_NEVER_REST
  assign read = reads || !Paced;
`else
  assign read = reads;
`endif
  assign move = read || !Paced;

  if (Latency == 0) begin : g_combinational
    logic [Width-1:0] memory[0:2**AddressWidth-1];
    initial if (Zeros) for (int i = 2 ** AddressWidth / 2; i < 2 ** AddressWidth; i++) memory[i] = '0;
    logic unused_read;
    assign unused_read = &{1'b0, read, move};
    always @(posedge clk) if (write) memory[write_address] <= write_data;
    assign read_data_o = memory[read_address];
  end else if (Depth >= BlockDepth) begin : g_block
    (* no_rw_check, ram_style = "block" *) logic [Width-1:0] memory[0:2**AddressWidth-1];
    initial if (Zeros) for (int i = 2 ** AddressWidth / 2; i < 2 ** AddressWidth; i++) memory[i] = '0;
    logic [Width-1:0] read_q;
    always @(posedge clk) if (write) memory[write_address] <= write_data;
    always_ff @(posedge clk) if (read) read_q <= memory[read_address];
    if (Latency == 1) begin : g_direct
      logic unused_move;
      assign unused_move = move;
      assign read_data_o = read_q;
    end else begin : g_output
      always_ff @(posedge clk) if (move) read_data_o <= read_q;
    end
  end else begin : g_small
    // Memory in cells of logic reads at once: its address waits, which takes fewer registers than the word.
    (* no_rw_check *) logic [Width-1:0] memory[0:2**AddressWidth-1];
    initial if (Zeros) for (int i = 2 ** AddressWidth / 2; i < 2 ** AddressWidth; i++) memory[i] = '0;
    logic [AddressWidth-1:0] address;
    always @(posedge clk) if (write) memory[write_address] <= write_data;
    if (Latency == 1) begin : g_direct
      logic unused_move;
      assign unused_move = move;
      assign address = read_address;
      always_ff @(posedge clk) if (read) read_data_o <= memory[address];
    end else begin : g_wait
      always_ff @(posedge clk) if (read) address <= read_address;
      always_ff @(posedge clk) if (move) read_data_o <= memory[address];
    end
  end
endmodule
`default_nettype wire
