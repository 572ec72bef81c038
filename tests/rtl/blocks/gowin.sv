// Block RAMs and multipliers of Gowin (UG285, UG287): the lowest address bits of wide ports enable bytes.
`default_nettype none
module SPX9 #(
  parameter logic [287:0] `SIXTY_FOUR(INIT_RAM_, '0),
  parameter int BIT_WIDTH = 36, BLK_SEL = 0, READ_MODE = 0, WRITE_MODE = 0,
  parameter RESET_MODE = "SYNC",
  localparam int Bytes = BIT_WIDTH / 9
) (
  input  wire logic        CLK, CE, OCE, RESET, WRE,
  input  wire logic [2:0]  BLKSEL,
  input  wire logic [13:0] AD,
  input  wire logic [35:0] DI,
  output logic      [35:0] DO
);
  localparam logic [18431:0] CONTENTS = `ALL_BITS(, INIT_RAM_);
  block_memory #(.BytesA(Bytes), .BytesB(1), .Init(CONTENTS)) u_memory (
    .clk_a_i(CLK), .enable_a_i(CE), .write_a_i(Bytes == 1 ? WRE : {Bytes{WRE}} & AD[Bytes-1:0]), .address_a_i(AD[13:3]),
    .data_a_i(DI[9*Bytes-1:0]), .data_a_o(DO[9*Bytes-1:0]),
    .clk_b_i(1'b0), .enable_b_i(1'b0), .write_b_i('0), .address_b_i('0), .data_b_i('0), .data_b_o()
  );
endmodule

module SDPX9B #(
  parameter logic [287:0] `SIXTY_FOUR(INIT_RAM_, '0),
  parameter int BIT_WIDTH_0 = 36, BIT_WIDTH_1 = 36, BLK_SEL_0 = 0, BLK_SEL_1 = 0, READ_MODE = 0,
  parameter RESET_MODE = "SYNC",
  localparam int BytesA = BIT_WIDTH_0 / 9,
  localparam int BytesB = BIT_WIDTH_1 / 9
) (
  input  wire logic        CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB,
  input  wire logic [2:0]  BLKSELA, BLKSELB,
  input  wire logic [13:0] ADA, ADB,
  input  wire logic [35:0] DI,
  output logic      [35:0] DO
);
  localparam logic [18431:0] CONTENTS = `ALL_BITS(, INIT_RAM_);
  block_memory #(.BytesA(BytesA), .BytesB(BytesB), .Init(CONTENTS)) u_memory (
    .clk_a_i(CLKA), .enable_a_i(CEA), .write_a_i(BytesA == 1 ? 1'b1 : ADA[BytesA-1:0]), .address_a_i(ADA[13:3]),
    .data_a_i(DI[9*BytesA-1:0]), .data_a_o(),
    .clk_b_i(CLKB), .enable_b_i(CEB), .write_b_i('0), .address_b_i(ADB[13:3]), .data_b_i('0),
    .data_b_o(DO[9*BytesB-1:0])
  );
endmodule

module DPX9B #(
  parameter logic [287:0] `SIXTY_FOUR(INIT_RAM_, '0),
  parameter int BIT_WIDTH_0 = 18, BIT_WIDTH_1 = 18, BLK_SEL_0 = 0, BLK_SEL_1 = 0,
  parameter int READ_MODE0 = 0, READ_MODE1 = 0, WRITE_MODE0 = 0, WRITE_MODE1 = 0,
  parameter RESET_MODE = "SYNC",
  localparam int BytesA = BIT_WIDTH_0 / 9,
  localparam int BytesB = BIT_WIDTH_1 / 9
) (
  input  wire logic        CLKA, CEA, CLKB, CEB, OCEA, OCEB, RESETA, RESETB, WREA, WREB,
  input  wire logic [2:0]  BLKSELA, BLKSELB,
  input  wire logic [13:0] ADA, ADB,
  input  wire logic [17:0] DIA, DIB,
  output logic      [17:0] DOA, DOB
);
  localparam logic [18431:0] CONTENTS = `ALL_BITS(, INIT_RAM_);
  block_memory #(.BytesA(BytesA), .BytesB(BytesB), .Init(CONTENTS)) u_memory (
    .clk_a_i(CLKA), .enable_a_i(CEA), .write_a_i(BytesA == 1 ? WREA : {BytesA{WREA}} & ADA[BytesA-1:0]),
    .address_a_i(ADA[13:3]), .data_a_i(DIA[9*BytesA-1:0]), .data_a_o(DOA[9*BytesA-1:0]),
    .clk_b_i(CLKB), .enable_b_i(CEB), .write_b_i(BytesB == 1 ? WREB : {BytesB{WREB}} & ADB[BytesB-1:0]),
    .address_b_i(ADB[13:3]), .data_b_i(DIB[9*BytesB-1:0]), .data_b_o(DOB[9*BytesB-1:0])
  );
endmodule

module MULT18X18 (
  input  wire logic        CLK, CE, RESET, ASIGN, BSIGN, ASEL, BSEL,
  input  wire logic [17:0] A, SIA, B, SIB,
  output logic      [35:0] DOUT
);
  assign DOUT = 36'($signed({ASIGN && A[17], A})) * 36'($signed({BSIGN && B[17], B}));
endmodule

module MULT9X9 (
  input  wire logic        CLK, CE, RESET, ASIGN, BSIGN, ASEL, BSEL,
  input  wire logic [8:0]  A, SIA, B, SIB,
  output logic      [17:0] DOUT
);
  assign DOUT = 18'($signed({ASIGN && A[8], A})) * 18'($signed({BSIGN && B[8], B}));
endmodule
`default_nettype wire
