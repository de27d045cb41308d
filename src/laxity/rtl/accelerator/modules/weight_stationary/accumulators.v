// Sums over the tiles of a reduction: one word of LANES sums for every position of a pass.
//
// `early_address` is the position one cycle before its sums arrive, for the memory's latency. The sums of the last tile
// are not stored; they leave as `totals`.
module accumulators #(
  parameter LANES = 2,
  parameter SUM_BITS = 20,
  parameter SHIFT_BITS = 1,
  parameter DEPTH = 2,
  parameter ADDRESS_BITS = 1
) (
  input wire clk,
  input wire rst,
  input wire [ADDRESS_BITS-1:0] early_address,
  input wire [ADDRESS_BITS-1:0] address,
  input wire valid,
  input wire first,
  input wire final_tile,
  input wire [SHIFT_BITS-1:0] shift,
  input wire [LANES*SUM_BITS-1:0] sums,
  output reg totals_valid,
  output reg [LANES*32-1:0] totals
);
  wire [LANES*32-1:0] earlier;
  wire [LANES*32-1:0] following;

  memory #(.LANES(1), .LANE_BITS(LANES * 32), .DEPTH(DEPTH), .ADDRESS_BITS(ADDRESS_BITS)) partial (
    .clk(clk),
    .write(valid & ~final_tile),
    .write_address(address),
    .write_data(following),
    .read_address(early_address),
    .read_data(earlier)
  );

  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : lane
      // All sums of a step lack the same low bits.
      wire signed [31:0] extended = {{(32 - SUM_BITS) {sums[(i+1)*SUM_BITS-1]}}, sums[i*SUM_BITS+:SUM_BITS]};
      wire [31:0] shifted = extended >>> shift;
      assign following[i*32+:32] = (first ? 32'd0 : earlier[i*32+:32]) + shifted;
    end
  endgenerate

  always @(posedge clk) begin
    totals_valid <= valid & final_tile & ~rst;
    if (valid & final_tile) totals <= following;
  end
endmodule
