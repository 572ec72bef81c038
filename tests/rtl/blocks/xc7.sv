// Block RAM of Xilinx 7 (UG473): ninth bits apart; as SDP, A reads and B writes, 36 bits with the data pins of both.
`default_nettype none
module RAMB18E1 #(
  parameter logic [255:0] `SIXTY_FOUR(INIT_, '0),
  parameter logic [255:0] INITP_00 = '0, INITP_01 = '0, INITP_02 = '0, INITP_03 = '0,
  parameter logic [255:0] INITP_04 = '0, INITP_05 = '0, INITP_06 = '0, INITP_07 = '0,
  parameter RAM_MODE = "TDP",
  parameter WRITE_MODE_A = "WRITE_FIRST",
  parameter WRITE_MODE_B = "WRITE_FIRST",
  parameter int READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0, DOA_REG = 0, DOB_REG = 0,
  parameter INIT_A = 18'h0, INIT_B = 18'h0, SRVAL_A = 18'h0, SRVAL_B = 18'h0
) (
  input  wire logic        CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN,
  input  wire logic        REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input  wire logic [13:0] ADDRARDADDR, ADDRBWRADDR,
  input  wire logic [15:0] DIADI, DIBDI,
  input  wire logic [1:0]  DIPADIP, DIPBDIP, WEA,
  input  wire logic [3:0]  WEBWE,
  output logic      [15:0] DOADO, DOBDO,
  output logic      [1:0]  DOPADOP, DOPBDOP
);
  localparam int BytesA = (READ_WIDTH_A > WRITE_WIDTH_A ? READ_WIDTH_A : WRITE_WIDTH_A) / 9;
  localparam int BytesB = (READ_WIDTH_B > WRITE_WIDTH_B ? READ_WIDTH_B : WRITE_WIDTH_B) / 9;
  if (DOA_REG != 0 || DOB_REG != 0 || (BytesA == 4) != (RAM_MODE == "SDP" && BytesA != 0)) begin : g_check
    $error("the model has no output register, and 36 bits on A as SDP alone");
  end
  function automatic [18431:0] contents(input logic [16383:0] data, input logic [2047:0] ninth);
    for (int i = 0; i < 2048; i++) contents[9*i+:9] = {ninth[i], data[8*i+:8]};
  endfunction
  localparam logic [2047:0] NINTH = {INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00};
  localparam logic [16383:0] DATA = `ALL_BITS(, INIT_);
  logic [35:0] data_a, data_b, in_a, in_b;
  assign in_a = {18'b0, DIPADIP[1], DIADI[15:8], DIPADIP[0], DIADI[7:0]};
  assign in_b = BytesB == 4
    ? {DIPBDIP[1], DIBDI[15:8], DIPBDIP[0], DIBDI[7:0], DIPADIP[1], DIADI[15:8], DIPADIP[0], DIADI[7:0]}
    : {18'b0, DIPBDIP[1], DIBDI[15:8], DIPBDIP[0], DIBDI[7:0]};
  block_memory #(
    .BytesA(BytesA > 0 ? BytesA : 1), .BytesB(BytesB > 0 ? BytesB : 1), .Init(contents(DATA, NINTH))
  ) u_memory (
    .clk_a_i(CLKARDCLK), .enable_a_i(ENARDEN), .clk_b_i(CLKBWRCLK), .enable_b_i(ENBWREN),
    .write_a_i(WRITE_WIDTH_A > 0 ? WEA[(BytesA>0?BytesA:1)-1:0] : '0),
    .write_b_i(WRITE_WIDTH_B > 0 ? WEBWE[(BytesB>0?BytesB:1)-1:0] : '0),
    .address_a_i(ADDRARDADDR[13:3]), .address_b_i(ADDRBWRADDR[13:3]),
    .data_a_i(in_a[9*(BytesA>0?BytesA:1)-1:0]), .data_b_i(in_b[9*(BytesB>0?BytesB:1)-1:0]),
    .data_a_o(data_a[9*(BytesA>0?BytesA:1)-1:0]), .data_b_o(data_b[9*(BytesB>0?BytesB:1)-1:0])
  );
  assign {DOPADOP[1], DOADO[15:8], DOPADOP[0], DOADO[7:0]} = data_a[17:0];
  assign {DOPBDOP[1], DOBDO[15:8], DOPBDOP[0], DOBDO[7:0]} = BytesA == 4 ? data_a[35:18] : data_b[17:0];
endmodule
`default_nettype wire
