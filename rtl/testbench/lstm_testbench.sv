// Self-checking test bench of an exported design: states in, sequences through, outputs and last states compared.
//
// Every number stands in the files of `Vectors`, made by the integer model; `gatesmith export` sets the parameters. Both
// streams hesitate at random. Ends with PASS, or with a list of differences and an error code.
`default_nettype none
module lstm_testbench #(
  parameter int InWidth = 16,       // bits of a beat of x
  parameter int OutWidth = 16,      // of a beat out
  parameter int InBeats = 32,       // in all sequences together
  parameter int OutBeats = 64,
  parameter int Sequences = 1,
  parameter int Steps = 1,          // in all sequences together
  parameter int Cells = 1,
  parameter int Contexts = 1,       // sequences that take turns
  parameter int OutputSize = 64,    // elements of h, or of its projection
  parameter int HiddenSize = 64,    // of c
  parameter int Patience = 100000,  // clocks without a beat after which the design counts as stuck
  parameter logic [31:0] Design = '0,
  parameter Vectors = "simulation/"
);
  localparam logic [11:0] IDENTITY = 12'h000;
  localparam logic [11:0] DESIGN = 12'h008;
  localparam logic [11:0] CONTROL = 12'h00c;
  localparam logic [11:0] STATUS = 12'h010;
  localparam logic [11:0] FLAGS = 12'h014;
  localparam logic [11:0] STEPS = 12'h024;
  localparam logic [11:0] SEQUENCES = 12'h028;
  localparam logic [11:0] SELECT = 12'h02c;
  localparam logic [11:0] STATE = 12'h030;
  localparam logic [11:0] UNMAPPED = 12'hffc;
  localparam logic [1:0] OKAY = 2'b00;
  localparam logic [1:0] SLVERR = 2'b10;

  logic clk, rst;
  logic [InWidth-1:0] s_axis_tdata;
  localparam int IdWidth = Contexts > 1 ? $clog2(Contexts) : 1;
  logic s_axis_tvalid, s_axis_tlast, s_axis_tready;
  logic [IdWidth-1:0] s_axis_tid, m_axis_tid;
  logic [OutWidth-1:0] m_axis_tdata;
  logic m_axis_tvalid, m_axis_tlast, m_axis_tready;
  logic [11:0] s_axil_awaddr, s_axil_araddr;
  logic s_axil_awvalid, s_axil_awready, s_axil_wvalid, s_axil_wready, s_axil_bvalid, s_axil_bready;
  logic s_axil_arvalid, s_axil_arready, s_axil_rvalid, s_axil_rready;
  logic [31:0] s_axil_wdata, s_axil_rdata;
  logic [1:0] s_axil_bresp, s_axil_rresp;
  lstm_axi u_design (
    .clk(clk), .rst(rst),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tlast(s_axis_tlast),
    .s_axis_tid(s_axis_tid), .s_axis_tready(s_axis_tready),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tlast(m_axis_tlast),
    .m_axis_tid(m_axis_tid), .m_axis_tready(m_axis_tready),
    .s_axil_awaddr(s_axil_awaddr), .s_axil_awprot(3'b000), .s_axil_awvalid(s_axil_awvalid),
    .s_axil_awready(s_axil_awready),
    .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(4'b1111), .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready),
    .s_axil_bresp(s_axil_bresp), .s_axil_bvalid(s_axil_bvalid), .s_axil_bready(s_axil_bready),
    .s_axil_araddr(s_axil_araddr), .s_axil_arprot(3'b000), .s_axil_arvalid(s_axil_arvalid),
    .s_axil_arready(s_axil_arready),
    .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp), .s_axil_rvalid(s_axil_rvalid),
    .s_axil_rready(s_axil_rready)
  );

  // Everything changes at the falling edge; what stands there is what the rising edge sees.
  initial clk = 1'b0;
  always #5 clk = !clk;

  logic [IdWidth+InWidth:0] stimulus[0:InBeats-1];    // {tid, tlast, tdata}
  logic [IdWidth+OutWidth:0] expected[0:OutBeats-1];  // likewise
  localparam int CellStates = OutputSize + HiddenSize;
  localparam int States = Contexts * Cells * CellStates;
  logic [31:0] first[0:States-1];   // of each context and cell h0, then c0
  logic [31:0] last[0:States-1];    // the same after the last sequence
  int differences;

  task automatic differ(input int at, input logic [63:0] found, input logic [63:0] wanted, input logic [8*20-1:0] what);
    differences = differences + 1;
    if (differences <= 10) $display("%0s %0d is %0h, expected %0h", what, at, found, wanted);
  endtask

  // Registers
  logic address_taken, data_taken;
  task automatic write(input logic [11:0] address, input logic [31:0] data, input logic [1:0] response);
    @(negedge clk);
    s_axil_awaddr = address;
    s_axil_wdata = data;
    s_axil_awvalid = 1'b1;
    s_axil_wvalid = 1'b1;
    while (s_axil_awvalid || s_axil_wvalid) begin
      address_taken = s_axil_awready;
      data_taken = s_axil_wready;
      @(negedge clk);
      if (address_taken) s_axil_awvalid = 1'b0;
      if (data_taken) s_axil_wvalid = 1'b0;
    end
    while (!s_axil_bvalid) @(negedge clk);
    if (s_axil_bresp != response) differ(int'(address), 64'(s_axil_bresp), 64'(response), "write response");
    @(negedge clk);
  endtask

  logic [31:0] answer;
  task automatic read(input logic [11:0] address, input logic [1:0] response);
    @(negedge clk);
    s_axil_araddr = address;
    s_axil_arvalid = 1'b1;
    while (!s_axil_arready) @(negedge clk);
    @(negedge clk);
    s_axil_arvalid = 1'b0;
    while (!s_axil_rvalid) @(negedge clk);
    answer = s_axil_rdata;
    if (s_axil_rresp != response) differ(int'(address), 64'(s_axil_rresp), 64'(response), "read response");
    @(negedge clk);
  endtask

  task automatic check(input logic [11:0] address, input logic [31:0] wanted);
    read(address, OKAY);
    if (answer != wanted) differ(int'(address), 64'(answer), 64'(wanted), "register");
  endtask

  // Before the first h and the first c of a context's cell, SELECT begins there.
  logic [31:0] owner;
  task automatic select_state(input int at);
    owner = at / CellStates;
    owner = owner / Cells * 65536 + owner % Cells;
    if (at % CellStates == 0) write(SELECT, owner, OKAY);
    if (at % CellStates == OutputSize) write(SELECT, owner + 32'h100, OKAY);
  endtask

  // Streams: offered and taken three times in four
  logic streaming, sent, received;
  logic [15:0] random;
  int in_beat, out_beat, idle;
  always @(negedge clk) begin
    random = {random[14:0], random[15] ^ random[13] ^ random[12] ^ random[10]};
    if (sent) in_beat = in_beat + 1;
    if (!s_axis_tvalid || sent) s_axis_tvalid = streaming && in_beat < InBeats && random[1:0] != 2'b00;
    if (s_axis_tvalid) {s_axis_tid, s_axis_tlast, s_axis_tdata} = stimulus[in_beat];
    sent = s_axis_tvalid && s_axis_tready;
    m_axis_tready = streaming && random[9:8] != 2'b00;
    received = m_axis_tvalid && m_axis_tready;
    if (received) begin
      if (out_beat >= OutBeats) differ(out_beat, 64'(m_axis_tdata), 64'd0, "beat too many");
      else if ({m_axis_tid, m_axis_tlast, m_axis_tdata} != expected[out_beat]) begin
        differ(out_beat, 64'(m_axis_tdata), 64'(expected[out_beat][OutWidth-1:0]), "output beat");
      end
      out_beat = out_beat + 1;
    end
    idle = sent || received ? 0 : idle + 1;
  end

  initial begin
    $readmemh({Vectors, "stimulus.hex"}, stimulus);
    $readmemh({Vectors, "expected.hex"}, expected);
    $readmemh({Vectors, "first_states.hex"}, first);
    $readmemh({Vectors, "last_states.hex"}, last);
    {s_axis_tvalid, s_axis_tlast, s_axis_tid, s_axil_awvalid, s_axil_wvalid, s_axil_arvalid, streaming, sent, received} = '0;
    {s_axil_bready, s_axil_rready} = '1;
    {differences, in_beat, out_beat, idle} = '0;
    random = 16'hace1;
    rst = 1'b1;
    repeat (5) @(negedge clk);
    rst = 1'b0;

    check(IDENTITY, 32'h4c53544d);
    check(DESIGN, Design);
    read(UNMAPPED, SLVERR);
    for (int i = 0; i < States; i++) begin
      select_state(i);
      write(STATE, first[i], OKAY);
    end
    write(CONTROL, 32'd1, OKAY);
    write(STATE, 32'd0, SLVERR);  // busy from now on
    streaming = 1'b1;
    while (out_beat < OutBeats && idle < Patience) @(negedge clk);
    if (out_beat < OutBeats) differ(out_beat, 64'd0, 64'(OutBeats), "stuck before beat");
    write(CONTROL, 32'd0, OKAY);
    answer = 32'd1;
    for (int i = 0; i < 1000 && answer[0]; i++) read(STATUS, OKAY);
    read(FLAGS, OKAY);
    if (answer[3:0] != 4'h9) differ(int'(FLAGS), 64'(answer), 64'h9, "register");  // done, and the write while busy
    check(STEPS, 32'(Steps));
    check(SEQUENCES, 32'(Sequences));
    for (int i = 0; i < States; i++) begin
      select_state(i);
      read(STATE, OKAY);
      if (answer != last[i]) differ(i, 64'(answer), 64'(last[i]), "last state");
    end
    if (differences != 0) $fatal(1, "FAIL: %0d differences", differences);
    $display("PASS: %0d steps in %0d sequences, %0d beats out, last states", Steps, Sequences, OutBeats);
    $finish;
  end
endmodule
`default_nettype wire
