// A block RAM with two ports in bytes of nine bits: what those of Xilinx 7, Gowin and Nexus have in common.
//
// Beside it stand models with the vendors' names and pins, in the modes that Yosys maps gatesmith onto; Yosys itself
// has the pins alone. No output register and no reset is modelled, and nothing was compared with silicon.
`default_nettype none

module block_memory #(
  parameter int Bytes = 2048,
  parameter int BytesA = 2,  // of port A: a power of two, whose lower address bits are not looked at
  parameter int BytesB = 2,
  parameter logic [9*Bytes-1:0] Init = '0,
  localparam int AddressWidth = $clog2(Bytes)
) (
  input  wire logic                    clk_a_i, enable_a_i, clk_b_i, enable_b_i,
  input  wire logic [BytesA-1:0]       write_a_i,
  input  wire logic [BytesB-1:0]       write_b_i,
  input  wire logic [AddressWidth-1:0] address_a_i, address_b_i,
  input  wire logic [9*BytesA-1:0]     data_a_i,
  input  wire logic [9*BytesB-1:0]     data_b_i,
  output logic      [9*BytesA-1:0]     data_a_o,
  output logic      [9*BytesB-1:0]     data_b_o
);
  logic [8:0] memory[0:Bytes-1];
  initial for (int i = 0; i < Bytes; i++) memory[i] = Init[9*i+:9];
  logic [AddressWidth-1:0] first_a, first_b;
  assign first_a = address_a_i & ~AddressWidth'(BytesA - 1);
  assign first_b = address_b_i & ~AddressWidth'(BytesB - 1);
  always @(posedge clk_a_i) begin
    if (enable_a_i) begin
      for (int i = 0; i < BytesA; i++) data_a_o[9*i+:9] <= memory[first_a + AddressWidth'(i)];
      for (int i = 0; i < BytesA; i++) if (write_a_i[i]) memory[first_a + AddressWidth'(i)] <= data_a_i[9*i+:9];
    end
  end
  always @(posedge clk_b_i) begin
    if (enable_b_i) begin
      for (int i = 0; i < BytesB; i++) data_b_o[9*i+:9] <= memory[first_b + AddressWidth'(i)];
      for (int i = 0; i < BytesB; i++) if (write_b_i[i]) memory[first_b + AddressWidth'(i)] <= data_b_i[9*i+:9];
    end
  end
endmodule

// Sixteen parameters NAMEx0 … NAMExF, and their bits, the first lowest.
`define SIXTEEN(NAME, X, VALUE) \
  NAME``X``0 = VALUE, NAME``X``1 = VALUE, NAME``X``2 = VALUE, NAME``X``3 = VALUE, NAME``X``4 = VALUE, \
  NAME``X``5 = VALUE, NAME``X``6 = VALUE, NAME``X``7 = VALUE, NAME``X``8 = VALUE, NAME``X``9 = VALUE, \
  NAME``X``A = VALUE, NAME``X``B = VALUE, NAME``X``C = VALUE, NAME``X``D = VALUE, NAME``X``E = VALUE, NAME``X``F = VALUE
`define BITS(WRAP, NAME, X) \
  WRAP(NAME``X``F), WRAP(NAME``X``E), WRAP(NAME``X``D), WRAP(NAME``X``C), WRAP(NAME``X``B), WRAP(NAME``X``A), \
  WRAP(NAME``X``9), WRAP(NAME``X``8), WRAP(NAME``X``7), WRAP(NAME``X``6), WRAP(NAME``X``5), WRAP(NAME``X``4), \
  WRAP(NAME``X``3), WRAP(NAME``X``2), WRAP(NAME``X``1), WRAP(NAME``X``0)
`define SIXTY_FOUR(NAME, VALUE) \
  `SIXTEEN(NAME, 0, VALUE), `SIXTEEN(NAME, 1, VALUE), `SIXTEEN(NAME, 2, VALUE), `SIXTEEN(NAME, 3, VALUE)
`define ALL_BITS(WRAP, NAME) {`BITS(WRAP, NAME, 3), `BITS(WRAP, NAME, 2), `BITS(WRAP, NAME, 1), `BITS(WRAP, NAME, 0)}
`default_nettype wire
