// The multiply lanes: a word of weights times its operands, added to the sums of the same rows.
//
// Lane s of word k has row (k * Lanes + s) mod Rows. Its sum is needed again Rows products later, that is in lane
// (s + Rows) mod Lanes: the sums travel on a ring of constant wiring (lstm_ring), so no Lanes is favoured.
// Latency from issue to sums: 1 + MemoryStages + OperandStages + ProductStages + the adder tree (clog2(ColumnsPerCycle)
// where SumStages). Throughput: one word per clock.
`default_nettype none
module lstm_mac #(
  parameter int Rows = 256,
  parameter int Lanes = 16,
  parameter int ColumnsPerCycle = 1,
  parameter int Words = 1536,
  parameter int WeightWidth = 8,
  parameter int OperandWidth = 16,
  parameter int AccWidth = 32,
  parameter WeightFile = "",
  parameter int MemoryStages = 3,
  parameter int OperandStages = 1,
  parameter int ProductStages = 3,
  parameter int SumStages = 1,
  parameter bit WritableWeights = 1'b0,
  parameter int WeightSets = 1,  // of weights; above 1, one for each context
  localparam int SetWidth = WeightSets > 1 ? $clog2(WeightSets) : 1,
  localparam int WordWidth = Words > 1 ? $clog2(Words) : 1,
  localparam int BaseWidth = $clog2(Rows + 1)
) (
  input  wire logic                                    clk,
  input  wire logic                                    rst,
  input  wire logic                                    issue_i,
  input  wire logic [WordWidth-1:0]                    word_i,
  input  wire logic                                    moved_i,  // it is another one than a clock ago
  input  wire logic [BaseWidth-1:0]                    base_i,
  input  wire logic [SetWidth-1:0]                     set_i,
  input  wire logic [1:0]                              fresh_i,
  input  wire logic [ColumnsPerCycle*OperandWidth-1:0] front_i,  // operand of the column at hand
  input  wire logic [ColumnsPerCycle*OperandWidth-1:0] next_i,   // of the one after it, where a word straddles two
  output logic      [Lanes*AccWidth-1:0]               sums_o,
  // Weights, for the host while no step is under way.
  input  wire logic                                    weight_write_i,
  input  wire logic [SetWidth-1:0]                     weight_set_i,
  input  wire logic [31:0]                             weight_address_i,  // {word, piece}
  input  wire logic [31:0]                             weight_data_i
);
  localparam int ProductWidth = WeightWidth + OperandWidth;
  localparam int TreeWidth = ProductWidth + $clog2(ColumnsPerCycle);
  localparam int PartLanes = Rows % Lanes;
  localparam int GroupLanes = 4;  // lanes that share a copy of broadcast registers
  localparam int Groups = (Lanes + GroupLanes - 1) / GroupLanes;
  localparam int OperandsWidth = ColumnsPerCycle * OperandWidth;
  localparam int SumDelay = MemoryStages + OperandStages + ProductStages + (SumStages > 0 ? $clog2(ColumnsPerCycle) : 0);

  // Sets of weights follow each other, all but the last filled up to a power of two. A word is read once, in the first clock
  // in which its number and its set stand there, and again after the host has written.
  localparam int AddressWidth = WordWidth + $clog2(WeightSets);
  logic [Lanes*ColumnsPerCycle*WeightWidth-1:0] weights;
  logic [AddressWidth-1:0] address;
  logic [31:0] write_address;
  logic [SetWidth-1:0] set_q;
  logic written_q, renew_q;
  assign address = AddressWidth'({set_i, word_i});
  assign write_address = weight_address_i | (WeightSets > 1 ? 32'(weight_set_i) << (WordWidth + 12) : '0);
  always_ff @(posedge clk) begin
    written_q <= weight_write_i;
    renew_q <= written_q;
    set_q <= set_i;
  end
  rom #(
    .Width(Lanes * ColumnsPerCycle * WeightWidth), .Depth((WeightSets - 1) * 2 ** WordWidth + Words),
    .Latency(MemoryStages), .File(WeightFile), .Writable(WritableWeights)
  ) u_weights (
    .clk, .read_i(moved_i || renew_q || (WeightSets > 1 && set_i != set_q)), .address_i(address), .data_o(weights),
    .write_i(weight_write_i), .write_address_i(write_address), .write_data_i(weight_data_i)
  );

  logic [Groups*OperandsWidth-1:0] fronts;
  fanout #(.Width(OperandsWidth), .Copies(Groups), .Stages(MemoryStages)) u_fronts (
    .clk, .rst(1'b0), .data_i(front_i), .data_o(fronts)
  );

  // When to step and when to clear arrives together with the products, one copy for each group of lanes. A reset does both.
  logic [Groups-1:0] steps;
  logic [1:0] clear;
  logic [Groups*2-1:0] clears;
  logic unused_clear;  // where no word straddles two columns, the flag of the lanes that would
  assign clear = {2{rst}} | ({2{issue_i}} & fresh_i);
  assign unused_clear = ^clears;
  fanout #(.Width(1), .Copies(Groups), .Stages(SumDelay)) u_steps (
    .clk, .rst(1'b0), .data_i(issue_i || rst), .data_o(steps)
  );
  fanout #(.Width(2), .Copies(Groups), .Stages(SumDelay)) u_clears (.clk, .rst(1'b0), .data_i(clear), .data_o(clears));

  logic [Lanes*OperandsWidth-1:0] operands;
  if (PartLanes == 0) begin : g_aligned
    logic unused_straddle;
    assign unused_straddle = ^{base_i, next_i};
    for (genvar lane = 0; lane < Lanes; lane++) begin : g_operand
      assign operands[lane*OperandsWidth+:OperandsWidth] = fronts[lane/GroupLanes*OperandsWidth+:OperandsWidth];
    end
  end else begin : g_straddling
    logic [Groups*OperandsWidth-1:0] nexts;
    logic [Lanes-1:0] beyond, beyond_q;  // this lane is in the next column
    fanout #(.Width(OperandsWidth), .Copies(Groups), .Stages(MemoryStages)) u_nexts (
      .clk, .rst(1'b0), .data_i(next_i), .data_o(nexts)
    );
    delay #(.Width(Lanes), .Stages(MemoryStages)) u_beyond (.clk, .rst(1'b0), .data_i(beyond), .data_o(beyond_q));
    for (genvar lane = 0; lane < Lanes; lane++) begin : g_operand
      assign beyond[lane] = base_i >= BaseWidth'(Rows - lane);
      assign operands[lane*OperandsWidth+:OperandsWidth] =
        beyond_q[lane] ? nexts[lane/GroupLanes*OperandsWidth+:OperandsWidth]
                       : fronts[lane/GroupLanes*OperandsWidth+:OperandsWidth];
    end
  end

  logic [Lanes*AccWidth-1:0] sums_q, earlier, returning;
  for (genvar lane = 0; lane < Lanes; lane++) begin : g_lane
    logic [OperandsWidth-1:0] operand;
    logic [ColumnsPerCycle*ProductWidth-1:0] products, products_q;
    logic [TreeWidth-1:0] product;
    delay #(.Width(OperandsWidth), .Stages(OperandStages)) u_operand (
      .clk, .rst(1'b0), .data_i(operands[lane*OperandsWidth+:OperandsWidth]), .data_o(operand)
    );
    for (genvar column = 0; column < ColumnsPerCycle; column++) begin : g_column
      logic [WeightWidth-1:0] weight;
      logic signed [WeightWidth-1:0] left;
      logic signed [OperandWidth-1:0] right;
      logic signed [ProductWidth-1:0] exact;
      delay #(.Width(WeightWidth), .Stages(OperandStages)) u_weight (
        .clk, .rst(1'b0), .data_i(weights[(column*Lanes+lane)*WeightWidth+:WeightWidth]), .data_o(weight)
      );
      assign left = weight;
      assign right = operand[column*OperandWidth+:OperandWidth];
      assign exact = left * right;
      assign products[column*ProductWidth+:ProductWidth] = exact;
    end
    delay #(.Width(ColumnsPerCycle * ProductWidth), .Stages(ProductStages)) u_products (
      .clk, .rst(1'b0), .data_i(products), .data_o(products_q)
    );
    adder_tree #(.Width(ProductWidth), .Count(ColumnsPerCycle), .Registered(SumStages > 0)) u_tree (
      .clk, .terms_i(products_q), .sum_o(product)
    );
    always_ff @(posedge clk) begin
      if (steps[lane/GroupLanes]) sums_q[lane*AccWidth+:AccWidth] <= earlier[lane*AccWidth+:AccWidth] + AccWidth'($signed(product));
    end
  end

  // Lane s sends to lane (s + PartLanes) mod Lanes; those that wrap around arrive one word later.
  assign returning = Lanes > 1 && PartLanes > 0
      ? (sums_q << (PartLanes * AccWidth)) | (sums_q >> ((Lanes - PartLanes) * AccWidth)) : sums_q;
  for (genvar group = 0; group < Groups; group++) begin : g_ring
    localparam int First = group * GroupLanes;
    localparam int End = First + GroupLanes < Lanes ? First + GroupLanes : Lanes;
    localparam int Late = PartLanes > First ? (PartLanes < End ? PartLanes : End) - First : 0;  // lanes one word later
    localparam int Early = End - First - Late;
    if (Late > 0) begin : g_late
      lstm_ring #(.Width(Late * AccWidth), .Depth(Rows / Lanes), .MemoryStages(MemoryStages)) u_ring (
        .clk,
        .rst,
        .step_i(steps[group]),
        .clear_i(clears[2*group]),
        .data_i(returning[First*AccWidth+:Late*AccWidth]),
        .data_o(earlier[First*AccWidth+:Late*AccWidth])
      );
    end
    if (Early > 0) begin : g_early
      lstm_ring #(.Width(Early * AccWidth), .Depth(Rows / Lanes - 1), .MemoryStages(MemoryStages)) u_ring (
        .clk,
        .rst,
        .step_i(steps[group]),
        .clear_i(clears[2*group+1]),
        .data_i(returning[(First+Late)*AccWidth+:Early*AccWidth]),
        .data_o(earlier[(First+Late)*AccWidth+:Early*AccWidth])
      );
    end
  end
  assign sums_o = sums_q;
endmodule
`default_nettype wire
