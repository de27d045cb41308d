// The weight-stationary array with its weights and accumulators.
//
// A tile of weights stays in the array while the activations of all positions pass; partial sums wait in accumulators.
// Weights come one cycle after their address, are swapped in one cycle before the first activation of their tile, and
// sums arrive ROWS + COLUMNS - 1 cycles after their activations.
module engine #(
  parameter ROWS = 2,
  parameter COLUMNS = 2,
  parameter CODE_BITS = 9,
  parameter A_BITS = 8,
  parameter W_BITS = 8,
  parameter PRODUCT_BITS = 16,
  parameter SUM_BITS = 20,
  parameter CODE_SUM_BITS = 12,
  parameter SELECT_BITS = 1,
  parameter PRODUCT_SHIFT_BITS = 1,
  parameter POSITION_BITS = 1,
  parameter ACCUMULATOR_WORDS = 2,
  parameter WEIGHT_WORDS = 2,
  parameter WEIGHT_ADDRESS_BITS = 1,
  parameter WEIGHT_ZEROS = 0
) (
  input wire clk,
  input wire rst,
  input wire [SELECT_BITS-1:0] select,
  input wire [PRODUCT_SHIFT_BITS-1:0] product_shift,
  // from the controller
  input wire [WEIGHT_ADDRESS_BITS-1:0] weight_address,
  input wire tile_start,
  // one word of activations: its codes, and one cycle later its operands, whether it is of the first or final tile of a
  // reduction, whether it is the last one of the pass, and its position
  input wire [ROWS*CODE_BITS-1:0] codes,
  input wire [ROWS*(A_BITS+1)-1:0] operands,
  input wire valid,
  input wire first,
  input wire final_tile,
  input wire ending,
  input wire [POSITION_BITS-1:0] position,
  // sums of a position over the whole reduction, and the sum of its activations
  output wire totals_valid,
  output reg totals_end,
  output reg [POSITION_BITS-1:0] totals_position,
  output wire [COLUMNS*32-1:0] totals,
  output wire [31:0] activation_total
);
  localparam ARRAY_DELAY = ROWS + COLUMNS - 1;

  wire load, swap;
  wire [COLUMNS*(W_BITS+1)-1:0] weights;
  wire [COLUMNS*SUM_BITS-1:0] sums;

  rom #(
    .FILE("weights.hex"), .WIDTH(COLUMNS * (W_BITS + 1)), .DEPTH(WEIGHT_WORDS), .ADDRESS_BITS(WEIGHT_ADDRESS_BITS)
  ) weight_memory (.clk(clk), .address(weight_address), .data(weights));

  delay #(.WIDTH(1), .STAGES(1)) load_token (.clk(clk), .rst(rst), .in(tile_start), .out(load));
  delay #(.WIDTH(1), .STAGES(1)) swap_token (.clk(clk), .rst(rst), .in(load), .out(swap));

  array #(
    .ROWS(ROWS), .COLUMNS(COLUMNS), .A_BITS(A_BITS), .W_BITS(W_BITS), .PRODUCT_BITS(PRODUCT_BITS),
    .SUM_BITS(SUM_BITS), .SELECT_BITS(SELECT_BITS)
  ) array (
    .clk(clk), .rst(rst), .select(select), .load(load), .swap(swap), .activations(operands), .weights(weights),
    .sums(sums)
  );

  // What accompanies the activations, until their sums arrive.
  wire early_valid, early_end, sum_valid, sum_end, early_first, early_final, sum_first, sum_final;
  wire [POSITION_BITS-1:0] early_position, sum_position;

  delay #(.WIDTH(2), .STAGES(ARRAY_DELAY - 1)) sum_flags_early (
    .clk(clk), .rst(rst), .in({valid, ending}), .out({early_valid, early_end})
  );
  delay #(.WIDTH(2 + POSITION_BITS), .STAGES(ARRAY_DELAY - 1)) sum_place_early (
    .clk(clk), .rst(1'b0), .in({first, final_tile, position}),
    .out({early_first, early_final, early_position})
  );
  delay #(.WIDTH(2), .STAGES(1)) sum_flags (
    .clk(clk), .rst(rst), .in({early_valid, early_end}), .out({sum_valid, sum_end})
  );
  delay #(.WIDTH(2 + POSITION_BITS), .STAGES(1)) sum_place (
    .clk(clk), .rst(1'b0), .in({early_first, early_final, early_position}), .out({sum_first, sum_final, sum_position})
  );

  accumulators #(
    .LANES(COLUMNS), .SUM_BITS(SUM_BITS), .SHIFT_BITS(PRODUCT_SHIFT_BITS), .DEPTH(ACCUMULATOR_WORDS),
    .ADDRESS_BITS(POSITION_BITS)
  ) accumulators (
    .clk(clk), .rst(rst), .early_address(early_position), .address(sum_position), .valid(sum_valid),
    .first(sum_first), .final_tile(sum_final), .shift(product_shift), .sums(sums), .totals_valid(totals_valid),
    .totals(totals)
  );

  always @(posedge clk) begin
    totals_end <= sum_end;
    totals_position <= sum_position;
  end

  // The sum of all activations of a window, which weights with a zero-point need.
  generate
    if (WEIGHT_ZEROS) begin : inputs
      wire [CODE_SUM_BITS-1:0] word_sum, late_sum;
      wire unused_valid;
      lane_sum #(.LANES(ROWS), .CODE_BITS(CODE_BITS), .SUM_BITS(CODE_SUM_BITS)) lane_sum (
        .clk(clk), .codes(codes), .sum(word_sum)
      );
      delay #(.WIDTH(CODE_SUM_BITS), .STAGES(ARRAY_DELAY)) align (
        .clk(clk), .rst(1'b0), .in(word_sum), .out(late_sum)
      );
      accumulators #(
        .LANES(1), .SUM_BITS(CODE_SUM_BITS), .SHIFT_BITS(1), .DEPTH(ACCUMULATOR_WORDS), .ADDRESS_BITS(POSITION_BITS)
      ) accumulators (
        .clk(clk), .rst(rst), .early_address(early_position), .address(sum_position), .valid(sum_valid),
        .first(sum_first), .final_tile(sum_final), .shift(1'b0), .sums(late_sum), .totals_valid(unused_valid),
        .totals(activation_total)
      );
    end else begin : no_inputs
      assign activation_total = 32'd0;
    end
  endgenerate
endmodule
