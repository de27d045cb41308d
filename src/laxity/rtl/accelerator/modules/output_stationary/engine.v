// The output-stationary array with its weights.
//
// A group of ROWS positions stays in the array until its sums are complete; weights are read anew for every group. A
// tag with the position moves up beside the results of every row.
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
  output wire totals_end,
  output wire [POSITION_BITS-1:0] totals_position,
  output wire [COLUMNS*32-1:0] totals,
  output wire [31:0] activation_total
);
  localparam TAG_BITS = 1 + POSITION_BITS + 32;

  // Weights enter together with the activations of their tile, two cycles later than the controller counts.
  wire [WEIGHT_ADDRESS_BITS-1:0] address;
  wire [COLUMNS*(W_BITS+1)-1:0] weights;
  delay #(.WIDTH(WEIGHT_ADDRESS_BITS), .STAGES(2)) weight_delay (
    .clk(clk), .rst(1'b0), .in(weight_address), .out(address)
  );
  rom #(
    .FILE("weights.hex"), .WIDTH(COLUMNS * (W_BITS + 1)), .DEPTH(WEIGHT_WORDS), .ADDRESS_BITS(WEIGHT_ADDRESS_BITS)
  ) weight_memory (.clk(clk), .address(address), .data(weights));

  // The first word of a tile is for row 0, the next one for row 1, and so on.
  wire first_row;
  wire [ROWS-1:0] load, done;
  reg [ROWS-2:0] rows_before;
  delay #(.WIDTH(1), .STAGES(3)) tile_delay (.clk(clk), .rst(rst), .in(tile_start), .out(first_row));
  assign load = {rows_before, first_row};
  always @(posedge clk) rows_before <= rst ? {(ROWS - 1) {1'b0}} : load[ROWS-2:0];

  wire [COLUMNS*SUM_BITS-1:0] results;
  array #(
    .ROWS(ROWS), .COLUMNS(COLUMNS), .A_BITS(A_BITS), .W_BITS(W_BITS), .PRODUCT_BITS(PRODUCT_BITS),
    .SUM_BITS(SUM_BITS), .SELECT_BITS(SELECT_BITS)
  ) array (
    .clk(clk), .select(select), .load(load), .first({ROWS{first}}), .done(done), .word(operands), .weights(weights),
    .results(results)
  );

  // The sum of all activations of a window, which weights with a zero-point need.
  wire [31:0] word_sum;
  generate
    if (WEIGHT_ZEROS) begin : inputs
      wire [CODE_SUM_BITS-1:0] narrow_sum;
      lane_sum #(.LANES(ROWS), .CODE_BITS(CODE_BITS), .SUM_BITS(CODE_SUM_BITS)) lane_sum (
        .clk(clk), .codes(codes), .sum(narrow_sum)
      );
      assign word_sum = {{(32 - CODE_SUM_BITS) {narrow_sum[CODE_SUM_BITS-1]}}, narrow_sum};
    end else begin : no_inputs
      assign word_sum = 32'd0;
    end
  endgenerate

  // Beside every row: what is known of its position, kept until the row is done with its word.
  wire [ROWS:0] tag_valid;
  wire [TAG_BITS-1:0] tag [0:ROWS];
  assign tag_valid[ROWS] = 1'b0;
  assign tag[ROWS] = {TAG_BITS{1'b0}};
  genvar r, c;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : row
      reg [POSITION_BITS-1:0] own_position;
      reg own_end;
      reg [31:0] own_inputs;
      reg valid_out;
      reg [TAG_BITS-1:0] tag_out;
      delay #(.WIDTH(1), .STAGES(ROWS - 1)) done_delay (
        .clk(clk), .rst(rst), .in(load[r] & valid & final_tile), .out(done[r])
      );
      assign tag_valid[r] = valid_out;
      assign tag[r] = tag_out;
      always @(posedge clk) begin
        if (load[r]) begin
          own_position <= position;
          own_end <= ending;
          own_inputs <= (first ? 32'd0 : own_inputs) + word_sum;
        end
        valid_out <= ~rst & (done[r] | tag_valid[r+1]);
        tag_out <= done[r] ? {own_end, own_position, own_inputs} : tag[r+1];
      end
    end
    for (c = 0; c < COLUMNS; c = c + 1) begin : total
      // All sums of a step lack the same low bits.
      wire signed [SUM_BITS-1:0] sum = results[c*SUM_BITS+:SUM_BITS];
      wire [SUM_BITS-1:0] shifted = sum >>> product_shift;
      assign totals[c*32+:32] = shifted[31:0];
    end
  endgenerate

  wire end_tag;
  delay #(.WIDTH(1), .STAGES(COLUMNS - 1)) valid_align (.clk(clk), .rst(rst), .in(tag_valid[0]), .out(totals_valid));
  delay #(.WIDTH(TAG_BITS), .STAGES(COLUMNS - 1)) tag_align (
    .clk(clk), .rst(1'b0), .in(tag[0]), .out({end_tag, totals_position, activation_total})
  );
  assign totals_end = totals_valid & end_tag;
endmodule
