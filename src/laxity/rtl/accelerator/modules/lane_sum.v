// The sum of the signed codes of a word, one cycle later.
module lane_sum #(
  parameter LANES = 2,
  parameter CODE_BITS = 9,
  parameter SUM_BITS = 12
) (
  input wire clk,
  input wire [LANES*CODE_BITS-1:0] codes,
  output reg [SUM_BITS-1:0] sum
);
  reg [SUM_BITS-1:0] partial;
  integer i;

  always @* begin
    partial = {SUM_BITS{1'b0}};
    for (i = 0; i < LANES; i = i + 1)
      partial = partial + {{(SUM_BITS - CODE_BITS) {codes[(i+1)*CODE_BITS-1]}}, codes[i*CODE_BITS+:CODE_BITS]};
  end

  always @(posedge clk) sum <= partial;
endmodule
