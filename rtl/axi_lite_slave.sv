// The protocol of an AXI4-Lite slave: turns its five channels into accesses to registers, one read and one write at a time.
//
// A write is one clock of `write_o`, whose address and data stand from a clock before; its verdict is taken a clock
// later. A read is `ReadLatency` clocks of a stable
// address, then one clock of `read_o` in which data and verdict are taken. Misaligned addresses and writes of less than
// all four bytes answer SLVERR and reach no register. Every output is a register; no path leads from an input to an output.
`default_nettype none
module axi_lite_slave #(
  parameter int AddressWidth = 12,
  parameter int ReadLatency = 4
) (
  input  wire logic                    clk,
  input  wire logic                    rst,
  input  wire logic [AddressWidth-1:0] s_axil_awaddr,
  input  wire logic                    s_axil_awvalid,
  output logic                         s_axil_awready,
  input  wire logic [31:0]             s_axil_wdata,
  input  wire logic [3:0]              s_axil_wstrb,
  input  wire logic                    s_axil_wvalid,
  output logic                         s_axil_wready,
  output logic      [1:0]              s_axil_bresp,
  output logic                         s_axil_bvalid,
  input  wire logic                    s_axil_bready,
  input  wire logic [AddressWidth-1:0] s_axil_araddr,
  input  wire logic                    s_axil_arvalid,
  output logic                         s_axil_arready,
  output logic      [31:0]             s_axil_rdata,
  output logic      [1:0]              s_axil_rresp,
  output logic                         s_axil_rvalid,
  input  wire logic                    s_axil_rready,
  // Registers
  output logic                         write_o,
  output logic      [AddressWidth-1:2] write_address_o,
  output logic      [31:0]             write_data_o,
  input  wire logic                    write_error_i,   // a clock after write_o
  output logic                         read_o,
  output logic      [AddressWidth-1:2] read_address_o,  // stable for ReadLatency clocks before read_o
  input  wire logic [31:0]             read_data_i,
  input  wire logic                    read_error_i
);
  localparam logic [1:0] OKAY = 2'b00;
  localparam logic [1:0] SLVERR = 2'b10;
  localparam int CountWidth = $clog2(ReadLatency + 1);

  // Writes: address and data come in any order; both stay until the answer is taken.
  localparam logic [2:0] GATHER = 3'd0;   // address or data still missing
  localparam logic [2:0] DECODE = 3'd1;   // the address finds its register
  localparam logic [2:0] EXECUTE = 3'd2;  // which takes the word
  localparam logic [2:0] JUDGE = 3'd3;    // and says whether it did
  localparam logic [2:0] ANSWER = 3'd4;   // the master takes the answer
  logic [2:0] write_state_q;
  logic address_there_q, data_there_q, wrong_q, partial_q, take_address, take_data, both;
  assign take_address = s_axil_awvalid && s_axil_awready;
  assign take_data = s_axil_wvalid && s_axil_wready;
  assign both = (take_address || address_there_q) && (take_data || data_there_q);

  always_ff @(posedge clk) begin
    if (rst) begin
      write_state_q <= GATHER;
      s_axil_awready <= 1'b0;
      s_axil_wready <= 1'b0;
      s_axil_bvalid <= 1'b0;
      address_there_q <= 1'b0;
      data_there_q <= 1'b0;
    end else begin
      case (write_state_q)
        GATHER: begin
          address_there_q <= address_there_q || take_address;
          data_there_q <= data_there_q || take_data;
          s_axil_awready <= !(address_there_q || take_address);
          s_axil_wready <= !(data_there_q || take_data);
          if (both) write_state_q <= DECODE;
        end
        DECODE: write_state_q <= EXECUTE;
        EXECUTE: write_state_q <= JUDGE;
        JUDGE: begin
          write_state_q <= ANSWER;
          s_axil_bvalid <= 1'b1;
        end
        default: begin
          if (s_axil_bready) begin
            write_state_q <= GATHER;
            s_axil_bvalid <= 1'b0;
            address_there_q <= 1'b0;
            data_there_q <= 1'b0;
            s_axil_awready <= 1'b1;
            s_axil_wready <= 1'b1;
          end
        end
      endcase
    end
  end
  always_ff @(posedge clk) begin
    if (take_address) {write_address_o, wrong_q} <= {s_axil_awaddr[AddressWidth-1:2], s_axil_awaddr[1:0] != 2'b00};
    if (take_data) {write_data_o, partial_q} <= {s_axil_wdata, s_axil_wstrb != 4'b1111};
    write_o <= !rst && write_state_q == DECODE && !wrong_q && !partial_q;
    if (write_state_q == JUDGE) s_axil_bresp <= wrong_q || partial_q || write_error_i ? SLVERR : OKAY;
  end

  // Reads
  localparam logic [1:0] LISTEN = 2'd0;   // no address yet
  localparam logic [1:0] FETCH = 2'd1;    // the word is on its way
  localparam logic [1:0] TAKE = 2'd2;     // it is there
  localparam logic [1:0] DELIVER = 2'd3;  // the master takes it
  logic [1:0] read_state_q;
  logic [CountWidth-1:0] count_q;
  logic misaligned_q, wrong_read;
  assign read_o = read_state_q == TAKE && !misaligned_q;
  assign wrong_read = misaligned_q || read_error_i;

  always_ff @(posedge clk) begin
    if (rst) begin
      read_state_q <= LISTEN;
      s_axil_arready <= 1'b0;
      s_axil_rvalid <= 1'b0;
    end else begin
      case (read_state_q)
        LISTEN: begin
          s_axil_arready <= !(s_axil_arvalid && s_axil_arready);
          if (s_axil_arvalid && s_axil_arready) read_state_q <= FETCH;
        end
        FETCH: if (int'(count_q) == ReadLatency - 1) read_state_q <= TAKE;
        TAKE: begin
          read_state_q <= DELIVER;
          s_axil_rvalid <= 1'b1;
        end
        default: begin
          if (s_axil_rready) begin
            read_state_q <= LISTEN;
            s_axil_rvalid <= 1'b0;
            s_axil_arready <= 1'b1;
          end
        end
      endcase
    end
  end
  always_ff @(posedge clk) begin
    count_q <= read_state_q == FETCH ? count_q + CountWidth'(1) : '0;
    if (s_axil_arvalid && s_axil_arready) begin
      {read_address_o, misaligned_q} <= {s_axil_araddr[AddressWidth-1:2], s_axil_araddr[1:0] != 2'b00};
    end
    if (read_state_q == TAKE) begin
      s_axil_rdata <= wrong_read ? '0 : read_data_i;
      s_axil_rresp <= wrong_read ? SLVERR : OKAY;
    end
  end
endmodule
`default_nettype wire
