// Block RAM of Nexus (FPGA-TN-02094): contents as hexadecimal text, ten bits for nine; address bits enable bytes.
`default_nettype none
module PDPSC16K #(
  parameter logic [655:0] `SIXTY_FOUR(INITVAL_, {82{8'h30}}),
  parameter DATA_WIDTH_W = "X36", DATA_WIDTH_R = "X36", OUTREG = "BYPASSED",
  parameter RESETMODE = "SYNC", ASYNC_RST_RELEASE = "SYNC", ECC = "DISABLED", GSR = "DISABLED",
  parameter CSDECODE_W = "111", CSDECODE_R = "111",
  localparam int BytesW = DATA_WIDTH_W == "X36" ? 4 : DATA_WIDTH_W == "X18" ? 2 : 1,
  localparam int BytesR = DATA_WIDTH_R == "X36" ? 4 : DATA_WIDTH_R == "X18" ? 2 : 1
) (
  input  wire logic        CLK, CER, CEW, RST,
  input  wire logic [2:0]  CSW, CSR,
  input  wire logic [13:0] ADW, ADR,
  input  wire logic [35:0] DI,
  output logic      [35:0] DO
);
  if (OUTREG != "BYPASSED" || (DATA_WIDTH_W != "X36" && DATA_WIDTH_W != "X18" && DATA_WIDTH_W != "X9")
      || (DATA_WIDTH_R != "X36" && DATA_WIDTH_R != "X18" && DATA_WIDTH_R != "X9")) begin : g_check
    $error("the model has words of 9, 18 and 36 bits and no output register");
  end
  function automatic [287:0] slice(input logic [655:0] text);
    logic [319:0] bits;
    for (int i = 0; i < 80; i++) bits[4*i+:4] = 4'(text[8*i+:8] < 8'h40 ? text[8*i+:8] : text[8*i+:8] + 8'd9);
    for (int i = 0; i < 32; i++) slice[9*i+:9] = bits[10*i+:9];
  endfunction
  localparam logic [18431:0] CONTENTS = `ALL_BITS(slice, INITVAL_);
  block_memory #(.BytesA(BytesW), .BytesB(BytesR), .Init(CONTENTS)) u_memory (
    .clk_a_i(CLK), .enable_a_i(CEW && CSW == '1), .write_a_i(BytesW == 1 ? 1'b1 : ADW[BytesW-1:0]),
    .address_a_i(ADW[13:3]), .data_a_i(DI[9*BytesW-1:0]), .data_a_o(),
    .clk_b_i(CLK), .enable_b_i(CER && CSR == '1), .write_b_i('0), .address_b_i(ADR[13:3]), .data_b_i('0),
    .data_b_o(DO[9*BytesR-1:0])
  );
endmodule
`default_nettype wire
