// One lane from a sum to a code, three cycles:
//   total = wrap(sum) + bias - ((weight_zero * activation_sum) << fraction)
//   code = clamp(((total * multiplier + (1 << (shift - 1))) >>> shift) + zero, low, high)
// `wrap` keeps the low 32 - wrap bits of the sum, for accumulators of a finite width.
module post_lane #(
  parameter WEIGHT_ZEROS = 0,
  parameter WRAP_BITS = 1,
  parameter FRACTION_BITS = 1,
  parameter WEIGHT_ZERO_BITS = 1
) (
  input wire clk,
  input wire [31:0] sum,
  input wire [31:0] activation_sum,
  input wire [31:0] bias,
  input wire [15:0] multiplier,
  input wire [5:0] shift,
  input wire [WEIGHT_ZERO_BITS-1:0] weight_zero,
  input wire [WRAP_BITS-1:0] wrap,
  input wire [FRACTION_BITS-1:0] fraction,
  input wire signed [31:0] zero,
  input wire signed [31:0] low,
  input wire signed [31:0] high,
  output reg [31:0] total,
  output reg [31:0] code
);
  wire signed [31:0] aligned = sum << wrap;
  wire [31:0] wrapped = aligned >>> wrap;
  wire signed [31:0] extended_zero = {{(32 - WEIGHT_ZERO_BITS) {weight_zero[WEIGHT_ZERO_BITS-1]}}, weight_zero};
  wire signed [31:0] inputs = activation_sum;
  wire [31:0] correction = WEIGHT_ZEROS ? (extended_zero * inputs) << fraction : 32'd0;

  reg [15:0] held_multiplier;
  reg [5:0] held_shift;
  reg signed [47:0] scaled;
  reg [5:0] scaled_shift;

  // Signed operands of one width, so that the multiplication is signed; the multiplier itself is not negative.
  wire signed [47:0] wide_total = {{16{total[31]}}, total};
  wire signed [47:0] wide_multiplier = {32'd0, held_multiplier};
  wire signed [47:0] half = 48'sd1 <<< (scaled_shift - 6'd1);
  wire signed [47:0] rounded = (scaled + half) >>> scaled_shift;
  wire signed [48:0] moved = {rounded[47], rounded} + {{17{zero[31]}}, zero};
  wire signed [48:0] least = {{17{low[31]}}, low};
  wire signed [48:0] greatest = {{17{high[31]}}, high};

  always @(posedge clk) begin
    total <= wrapped + bias - correction;
    held_multiplier <= multiplier;
    held_shift <= shift;
    scaled <= wide_total * wide_multiplier;
    scaled_shift <= held_shift;
    code <= (moved < least) ? low : (moved > greatest) ? high : moved[31:0];
  end
endmodule
