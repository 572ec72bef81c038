// A register slice of a valid/ready stream: both directions are registered, no clock is lost.
//
// Latency: 1. Throughput: one beat per clock. Data are stable while valid waits for ready; not ready during reset.
`default_nettype none
module stream_register #(
  parameter int Width = 16
) (
  input  wire logic             clk,
  input  wire logic             rst,
  input  wire logic [Width-1:0] s_data_i,
  input  wire logic             s_valid_i,
  output logic                  s_ready_o,
  output logic      [Width-1:0] m_data_o,
  output logic                  m_valid_o,
  input  wire logic             m_ready_i
);
  logic [Width-1:0] spare_q, data_q;
  logic ready_q, spare_valid_q, valid_q, take, move;

  assign take = s_valid_i && ready_q;
  assign move = m_ready_i || !valid_q;
  // Who is told that there is room may be far from where it is needed.
  fanout #(.Width(1), .Copies(2), .Stages(1)) u_ready (
    .clk, .rst, .data_i(move || (!spare_valid_q && !take)), .data_o({s_ready_o, ready_q})
  );
  assign m_valid_o = valid_q;
  assign m_data_o = data_q;

  always_ff @(posedge clk) begin
    if (rst) begin
      spare_valid_q <= 1'b0;
      valid_q <= 1'b0;
    end else begin
      spare_valid_q <= !move && (spare_valid_q || take);
      if (move) valid_q <= spare_valid_q || take;
    end
  end

  always_ff @(posedge clk) begin
    if (move) data_q <= spare_valid_q ? spare_q : s_data_i;
    if (ready_q) spare_q <= s_data_i;  // spare_valid_q tells whether it is of use
  end
endmodule
`default_nettype wire
