// What an ECP5's block RAM and multiplier do in the modes that gatesmith's netlists use; not compared with silicon.
//
// tests/rtl/ecp5_netlist.py connects them in place of DP16KD and MULT18X18D, of which Yosys knows the pins alone.
`default_nettype none

module ecp5_ram #(
  parameter int DATA_WIDTH_A = 18,  // 9, 18; 36 of A writes both sides
  parameter int DATA_WIDTH_B = 18,  // 9, 18; 36 of B reads both sides
  parameter REGMODE_A = "NOREG",    // OUTREG: a second register, enabled by OCE alone
  parameter REGMODE_B = "NOREG",
  parameter logic [18431:0] INIT = '0
) (
  input  wire logic        CLKA, CEA, OCEA, WEA,
  input  wire logic [13:0] ADA,
  input  wire logic [17:0] DIA,
  output logic      [17:0] DOA,
  input  wire logic        CLKB, CEB, OCEB, WEB,
  input  wire logic [13:0] ADB,
  input  wire logic [17:0] DIB,
  output logic      [17:0] DOB
);
  logic [8:0] memory[0:2047];
  initial for (int i = 0; i < 2048; i++) memory[i] = INIT[9*i+:9];

  // Addresses of 9 bits each, as many as the width has; address bits below them are byte enables.
  logic [17:0] read_a, latch_a, late_a;
  logic [35:0] read_b, latch_b, late_b;
  always_comb begin
    read_a = DATA_WIDTH_A == 9 ? {9'b0, memory[ADA[13:3]]} : {memory[{ADA[13:4], 1'b1}], memory[{ADA[13:4], 1'b0}]};
    if (DATA_WIDTH_B == 9) read_b = {27'b0, memory[ADB[13:3]]};
    else if (DATA_WIDTH_B == 18) read_b = {18'b0, memory[{ADB[13:4], 1'b1}], memory[{ADB[13:4], 1'b0}]};
    else for (int i = 0; i < 4; i++) read_b[9*i+:9] = memory[{ADB[13:5], 2'(i)}];
  end
  always @(posedge CLKA) begin
    if (CEA) latch_a <= read_a;
    if (OCEA) late_a <= latch_a;
    if (CEA && WEA) begin
      if (DATA_WIDTH_A == 9) memory[ADA[13:3]] <= DIA[8:0];
      else if (DATA_WIDTH_A == 18) begin
        for (int i = 0; i < 2; i++) if (ADA[i]) memory[{ADA[13:4], 1'(i)}] <= DIA[9*i+:9];
      end else begin
        for (int i = 0; i < 4; i++) if (ADA[i]) memory[{ADA[13:5], 2'(i)}] <= i < 2 ? DIA[9*i+:9] : DIB[9*(i-2)+:9];
      end
    end
  end
  always @(posedge CLKB) begin
    if (CEB) latch_b <= read_b;
    if (OCEB) late_b <= latch_b;
    if (CEB && WEB) begin
      if (DATA_WIDTH_B == 9) memory[ADB[13:3]] <= DIB[8:0];
      else for (int i = 0; i < 2; i++) if (ADB[i]) memory[{ADB[13:4], 1'(i)}] <= DIB[9*i+:9];
    end
  end
  if (DATA_WIDTH_B == 36) begin : g_both_sides
    assign {DOB, DOA} = REGMODE_B == "OUTREG" ? late_b : latch_b;
  end else begin : g_each_side
    assign DOA = REGMODE_A == "OUTREG" ? late_a : latch_a;
    assign DOB = REGMODE_B == "OUTREG" ? late_b[17:0] : latch_b[17:0];
  end
endmodule

module ecp5_multiplier #(
  parameter REG_INPUTA_CLK = "NONE",  // a register on CLK0, or none
  parameter REG_INPUTB_CLK = "NONE",
  parameter REG_PIPELINE_CLK = "NONE",
  parameter REG_OUTPUT_CLK = "NONE"
) (
  input  wire logic        CLK0, CE0, SIGNEDA, SIGNEDB,
  input  wire logic [17:0] A, B,
  output logic      [35:0] P
);
  logic [17:0] a, b, a_q, b_q;
  logic [35:0] product, pipeline, pipeline_q, output_q;
  always @(posedge CLK0) begin
    if (CE0) begin
      a_q <= A;
      b_q <= B;
      pipeline_q <= product;
      output_q <= pipeline;
    end
  end
  assign a = REG_INPUTA_CLK == "CLK0" ? a_q : A;
  assign b = REG_INPUTB_CLK == "CLK0" ? b_q : B;
  assign product = 36'($signed({SIGNEDA && a[17], a})) * 36'($signed({SIGNEDB && b[17], b}));
  assign pipeline = REG_PIPELINE_CLK == "CLK0" ? pipeline_q : product;
  assign P = REG_OUTPUT_CLK == "CLK0" ? output_q : pipeline;
endmodule
`default_nettype wire
