// AXI4-Lite: channels keep still while they wait, every request is answered once and in time, with an error where due.
`default_nettype none
module axi_lite_slave_properties #(
  parameter int AddressWidth = 12,
  parameter int ReadLatency = 4
) (
  input wire logic                    clk,
  input wire logic                    rst,
  input wire logic [AddressWidth-1:0] s_axil_awaddr,
  input wire logic                    s_axil_awvalid,
  input wire logic                    s_axil_awready,
  input wire logic [31:0]             s_axil_wdata,
  input wire logic [3:0]              s_axil_wstrb,
  input wire logic                    s_axil_wvalid,
  input wire logic                    s_axil_wready,
  input wire logic [1:0]              s_axil_bresp,
  input wire logic                    s_axil_bvalid,
  input wire logic                    s_axil_bready,
  input wire logic [AddressWidth-1:0] s_axil_araddr,
  input wire logic                    s_axil_arvalid,
  input wire logic                    s_axil_arready,
  input wire logic [31:0]             s_axil_rdata,
  input wire logic [1:0]              s_axil_rresp,
  input wire logic                    s_axil_rvalid,
  input wire logic                    s_axil_rready,
  input wire logic                    write_o,
  input wire logic [AddressWidth-1:2] write_address_o,
  input wire logic [31:0]             write_data_o,
  input wire logic                    write_error_i,
  input wire logic                    read_o,
  input wire logic [AddressWidth-1:2] read_address_o,
  input wire logic [31:0]             read_data_i,
  input wire logic                    read_error_i,
  input wire logic [2:0]              write_state_q,
  input wire logic                    address_there_q,
  input wire logic                    data_there_q,
  input wire logic                    wrong_q,
  input wire logic                    partial_q,
  input wire logic [1:0]              read_state_q,
  input wire logic                    misaligned_q,
  input wire logic [$clog2(ReadLatency+1)-1:0] count_q
);
  logic started;
  start_in_reset u_start (.clk, .rst, .started_o(started));
  stream_rules #(.Width(AddressWidth), .Given(1'b1)) u_aw (
    .clk, .rst, .valid(s_axil_awvalid), .ready(s_axil_awready), .data(s_axil_awaddr)
  );
  stream_rules #(.Width(36), .Given(1'b1)) u_w (
    .clk, .rst, .valid(s_axil_wvalid), .ready(s_axil_wready), .data({s_axil_wstrb, s_axil_wdata})
  );
  stream_rules #(.Width(AddressWidth), .Given(1'b1)) u_ar (
    .clk, .rst, .valid(s_axil_arvalid), .ready(s_axil_arready), .data(s_axil_araddr)
  );
  stream_rules #(.Width(2)) u_b (
    .clk, .rst, .valid(s_axil_bvalid), .ready(s_axil_bready), .data(s_axil_bresp)
  );
  stream_rules #(.Width(34)) u_r (
    .clk, .rst, .valid(s_axil_rvalid), .ready(s_axil_rready), .data({s_axil_rresp, s_axil_rdata})
  );

  // What the master asked for and has no answer to.
  logic address_q, data_q, read_q, written_q, accessed_q, write_error_q, read_error_q, read_fails;
  logic [AddressWidth-1:0] write_to_q, read_from_q;
  logic [31:0] word_q, read_q_data;
  logic [3:0] strobe_q;
  logic [4:0] write_wait_q, read_wait_q;
  logic write_due, read_due;
  assign write_due = address_q && data_q;
  assign read_due = read_q;
  assign read_fails = read_from_q[1:0] != 2'b00 || read_error_i;
  always_ff @(posedge clk) begin
    if (s_axil_awvalid && s_axil_awready) {address_q, write_to_q} <= {1'b1, s_axil_awaddr};
    if (s_axil_wvalid && s_axil_wready) {data_q, strobe_q, word_q} <= {1'b1, s_axil_wstrb, s_axil_wdata};
    if (s_axil_arvalid && s_axil_arready) {read_q, read_from_q} <= {1'b1, s_axil_araddr};
    if (s_axil_bvalid && s_axil_bready) {address_q, data_q} <= 2'b00;
    if (s_axil_rvalid && s_axil_rready) read_q <= 1'b0;
    written_q <= write_o;
    if (written_q) write_error_q <= write_error_i;
    if (!s_axil_rvalid) {read_error_q, read_q_data} <= {read_fails, read_fails ? 32'd0 : read_data_i};
    accessed_q <= s_axil_bvalid ? accessed_q && !s_axil_bready : accessed_q || write_o;
    write_wait_q <= !write_due || s_axil_bvalid ? '0 : write_wait_q + 5'd1;
    read_wait_q <= !read_due || s_axil_rvalid ? '0 : read_wait_q + 5'd1;
    if (rst) {address_q, data_q, read_q, written_q, accessed_q, write_wait_q, read_wait_q} <= '0;
  end

  logic refused;  // by the protocol, before any register sees it
  assign refused = write_to_q[1:0] != 2'b00 || strobe_q != 4'b1111;
  always @(posedge clk) if (started && !rst) begin
    assert (!s_axil_bvalid || write_due);              // no answer without a request
    assert (!s_axil_rvalid || read_due);
    assert (!(address_q && s_axil_awready));           // one request at a time
    assert (!(data_q && s_axil_wready));
    assert (!(read_q && s_axil_arready));
    assert (!write_o || (write_due && !refused && !accessed_q && !s_axil_bvalid));  // once for each request
    assert (!write_o || (write_address_o == write_to_q[AddressWidth-1:2] && write_data_o == word_q));
    assert (!s_axil_bvalid || accessed_q == !refused);
    assert (!s_axil_bvalid || s_axil_bresp == (refused || write_error_q ? 2'b10 : 2'b00));
    assert (!read_o || (read_due && !s_axil_rvalid && read_address_o == read_from_q[AddressWidth-1:2]));
    assert (!read_o || read_from_q[1:0] == 2'b00);
    assert (!s_axil_rvalid || {s_axil_rresp, s_axil_rdata} == {read_error_q ? 2'b10 : 2'b00, read_q_data});
    assert (int'(write_wait_q) <= 3);                  // answered in a bounded time, whatever the other side does
    assert (int'(read_wait_q) <= ReadLatency + 2);
    // What induction needs to know of the states.
    assert (write_state_q <= 3'd4);
    assert (write_state_q != 3'd0 || {address_there_q, data_there_q} == {address_q, data_q});
    assert ((write_state_q != 3'd0) == write_due);
    assert (write_o == (write_state_q == 3'd2 && !refused));
    assert (s_axil_bvalid == (write_state_q == 3'd4));
    assert (accessed_q == (write_state_q >= 3'd3 && !refused));
    assert (written_q == (write_state_q == 3'd3 && !refused));
    assert (!address_q || (wrong_q == (write_to_q[1:0] != 2'b00) && write_address_o == write_to_q[AddressWidth-1:2]));
    assert (!data_q || (partial_q == (strobe_q != 4'b1111) && write_data_o == word_q));
    assert (write_state_q == 3'd0 || write_wait_q == 5'(write_state_q) - 5'd1 || s_axil_bvalid);
    assert (read_q == (read_state_q != 2'd0));
    assert (s_axil_rvalid == (read_state_q == 2'd3));
    assert (!read_q || (misaligned_q == (read_from_q[1:0] != 2'b00) && read_address_o == read_from_q[AddressWidth-1:2]));
    assert (int'(count_q) < ReadLatency || read_state_q != 2'd1);
    assert (read_state_q != 2'd1 || read_wait_q == 5'(count_q));
    assert (read_state_q != 2'd2 || int'(read_wait_q) == ReadLatency);
  end
endmodule
`default_nettype wire
