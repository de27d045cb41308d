// Memory with one write port, whose lanes are enabled one by one, and one read port with one cycle of latency.
// A word that is read while it is written comes as it was before.
module memory #(
  parameter LANES = 1,
  parameter LANE_BITS = 8,
  parameter DEPTH = 2,
  parameter ADDRESS_BITS = 1
) (
  input wire clk,
  input wire [LANES-1:0] write,
  input wire [ADDRESS_BITS-1:0] write_address,
  input wire [LANES*LANE_BITS-1:0] write_data,
  input wire [ADDRESS_BITS-1:0] read_address,
  output reg [LANES*LANE_BITS-1:0] read_data
);
  reg [LANES*LANE_BITS-1:0] words [0:DEPTH-1];
  integer lane;

  always @(posedge clk) begin
    for (lane = 0; lane < LANES; lane = lane + 1)
      if (write[lane]) words[write_address][lane*LANE_BITS+:LANE_BITS] <= write_data[lane*LANE_BITS+:LANE_BITS];
    read_data <= words[read_address];
  end
endmodule
