// Block RAMs of Xilinx 7 (UG473): ninth bits apart; as SDP, A reads and B writes, at full width with the pins of both.
`default_nettype none
module xc7_memory #(
  parameter int Half = 2,  // bytes at the pins of a port
  parameter int ReadA = 0, ReadB = 0, WriteA = 0, WriteB = 0,  // widths in bits
  parameter bit Simple = 1'b0,
  parameter logic [8192*Half-1:0] Data = '0,
  parameter logic [1024*Half-1:0] Ninth = '0,
  localparam int Bytes = 1024 * Half,
  localparam int AddressWidth = $clog2(Bytes)
) (
  input  wire logic                    clk_a_i, clk_b_i, enable_a_i, enable_b_i,
  input  wire logic [AddressWidth-1:0] address_a_i, address_b_i,
  input  wire logic [8*Half-1:0]       data_a_i, data_b_i,
  input  wire logic [Half-1:0]         ninth_a_i, ninth_b_i, write_a_i,
  input  wire logic [2*Half-1:0]       write_b_i,
  output logic      [8*Half-1:0]       data_a_o, data_b_o,
  output logic      [Half-1:0]         ninth_a_o, ninth_b_o
);
  localparam int BitsA = ReadA > WriteA ? ReadA : WriteA;
  localparam int BitsB = ReadB > WriteB ? ReadB : WriteB;
  localparam int BytesA = BitsA > 9 ? BitsA / 9 : 1;
  localparam int BytesB = BitsB > 9 ? BitsB / 9 : 1;
  if (BitsA % 9 != 0 || BitsB % 9 != 0 || (!Simple && (BytesA > Half || BytesB > Half))) begin : g_check
    $error("the model has widths of whole bytes of nine bits");
  end
  function automatic [9*Bytes-1:0] contents();
    for (int i = 0; i < Bytes; i++) contents[9*i+:9] = {Ninth[i], Data[8*i+:8]};
  endfunction
  logic [18*Half-1:0] in_a, in_b, out_a, out_b;
  always_comb begin
    for (int i = 0; i < Half; i++) begin
      in_a[9*i+:9] = {ninth_a_i[i], data_a_i[8*i+:8]};
      in_b[9*i+:9] = BytesB > Half ? {ninth_a_i[i], data_a_i[8*i+:8]} : {ninth_b_i[i], data_b_i[8*i+:8]};
      in_a[9*(Half+i)+:9] = '0;
      in_b[9*(Half+i)+:9] = {ninth_b_i[i], data_b_i[8*i+:8]};
      {ninth_a_o[i], data_a_o[8*i+:8]} = out_a[9*i+:9];
      {ninth_b_o[i], data_b_o[8*i+:8]} = BytesA > Half ? out_a[9*(Half+i)+:9] : out_b[9*i+:9];
    end
  end
  block_memory #(.Bytes(Bytes), .BytesA(BytesA), .BytesB(BytesB), .Init(contents())) u_memory (
    .clk_a_i, .enable_a_i, .address_a_i, .clk_b_i, .enable_b_i, .address_b_i,
    .write_a_i(WriteA > 0 ? BytesA'(write_a_i) : '0), .write_b_i(WriteB > 0 ? BytesB'(write_b_i) : '0),
    .data_a_i(in_a[9*BytesA-1:0]), .data_b_i(in_b[9*BytesB-1:0]),
    .data_a_o(out_a[9*BytesA-1:0]), .data_b_o(out_b[9*BytesB-1:0])
  );
endmodule

`define XC7_PARAMETERS \
  parameter logic [255:0] `SIXTEEN(INITP_, 0, '0), \
  parameter RAM_MODE = "TDP", WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST", \
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE", \
  parameter int READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0, DOA_REG = 0, DOB_REG = 0, \
  parameter INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0
`define XC7_PINS \
  input wire logic CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, \
  input wire logic RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB
`define XC7_CONNECTIONS \
  .clk_a_i(CLKARDCLK), .clk_b_i(CLKBWRCLK), .enable_a_i(ENARDEN), .enable_b_i(ENBWREN), \
  .write_a_i(WEA), .write_b_i(WEBWE), \
  .data_a_i(DIADI), .ninth_a_i(DIPADIP), .data_b_i(DIBDI), .ninth_b_i(DIPBDIP), \
  .data_a_o(DOADO), .ninth_a_o(DOPADOP), .data_b_o(DOBDO), .ninth_b_o(DOPBDOP)
`define XC7_WIDTHS \
  .ReadA(READ_WIDTH_A), .ReadB(READ_WIDTH_B), .WriteA(WRITE_WIDTH_A), .WriteB(WRITE_WIDTH_B), .Simple(RAM_MODE == "SDP")

module RAMB18E1 #(
  parameter logic [255:0] `SIXTY_FOUR(INIT_, '0),
  `XC7_PARAMETERS
) (
  `XC7_PINS,
  input  wire logic [13:0] ADDRARDADDR, ADDRBWRADDR,
  input  wire logic [15:0] DIADI, DIBDI,
  input  wire logic [1:0]  DIPADIP, DIPBDIP, WEA,
  input  wire logic [3:0]  WEBWE,
  output logic      [15:0] DOADO, DOBDO,
  output logic      [1:0]  DOPADOP, DOPBDOP
);
  localparam logic [4095:0] NINTH = {`BITS(, INITP_, 0)};
  xc7_memory #(.Half(2), .Data(`ALL_BITS(, INIT_)), .Ninth(NINTH[2047:0]), `XC7_WIDTHS) u_memory (
    .address_a_i(ADDRARDADDR[13:3]), .address_b_i(ADDRBWRADDR[13:3]), `XC7_CONNECTIONS
  );
endmodule

module RAMB36E1 #(
  parameter logic [255:0] `SIXTY_FOUR(INIT_, '0),
  parameter logic [255:0] `SIXTEEN(INIT_, 4, '0), `SIXTEEN(INIT_, 5, '0),
  parameter logic [255:0] `SIXTEEN(INIT_, 6, '0), `SIXTEEN(INIT_, 7, '0),
  `XC7_PARAMETERS
) (
  `XC7_PINS,
  input  wire logic [15:0] ADDRARDADDR, ADDRBWRADDR,
  input  wire logic [31:0] DIADI, DIBDI,
  input  wire logic [3:0]  DIPADIP, DIPBDIP, WEA,
  input  wire logic [7:0]  WEBWE,
  output logic      [31:0] DOADO, DOBDO,
  output logic      [3:0]  DOPADOP, DOPBDOP
);
  if (RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE") begin : g_check
    $error("the model is not cascaded");
  end
  localparam logic [16383:0] HIGH = {`BITS(, INIT_, 7), `BITS(, INIT_, 6), `BITS(, INIT_, 5), `BITS(, INIT_, 4)};
  xc7_memory #(.Half(4), .Data({HIGH, `ALL_BITS(, INIT_)}), .Ninth({`BITS(, INITP_, 0)}), `XC7_WIDTHS) u_memory (
    .address_a_i(ADDRARDADDR[14:3]), .address_b_i(ADDRBWRADDR[14:3]), `XC7_CONNECTIONS
  );
endmodule
`default_nettype wire
