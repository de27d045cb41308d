// From words of sums to words of codes: bias, requantisation, clamp. A word leaves four cycles after it has entered.
//
// Words come from the array (COLUMNS sums, held here and given out ROWS at a time) or from the vector unit (ROWS sums).
// Parameters of the lanes are read from a memory of their own, one word for every word of channels.
module post #(
  parameter ROWS = 2,
  parameter COLUMNS = 2,
  parameter WORDS = 1,            // words of ROWS lanes in one group of COLUMNS sums, at least 1
  parameter ADDRESS_BITS = 1,
  parameter POSITION_BITS = 1,
  parameter PARAMETER_FILE = "",
  parameter PARAMETER_DEPTH = 2,
  parameter PARAMETER_ADDRESS_BITS = 1,
  parameter WEIGHT_ZEROS = 0,
  parameter WEIGHT_ZERO_BITS = 1,
  parameter WRAP_BITS = 1,
  parameter FRACTION_BITS = 1
) (
  input wire clk,
  input wire rst,
  // from the array
  input wire totals_valid,
  input wire totals_last,
  input wire [POSITION_BITS-1:0] totals_position,
  input wire [COLUMNS*32-1:0] totals,
  input wire [31:0] activation_sum,
  // from the vector unit
  input wire results_valid,
  input wire results_last,
  input wire [POSITION_BITS-1:0] results_position,
  input wire [ROWS*32-1:0] results,
  // from the descriptor
  input wire [PARAMETER_ADDRESS_BITS-1:0] parameter_base,
  input wire [ADDRESS_BITS-1:0] out_base,
  input wire [ADDRESS_BITS-1:0] out_step,
  input wire [ROWS-1:0] lanes,
  input wire [WRAP_BITS-1:0] wrap,
  input wire [FRACTION_BITS-1:0] fraction,
  input wire [31:0] zero,
  input wire [31:0] low,
  input wire [31:0] high,
  // codes
  output wire [ROWS-1:0] write,
  output wire [ADDRESS_BITS-1:0] write_address,
  output wire [ROWS*32-1:0] codes,
  output wire pass_done,
  // what is requantised, for observation
  output wire total_valid,
  output wire [ROWS*32-1:0] total
);
  localparam LANE_BITS = 32 + 16 + 6 + WEIGHT_ZERO_BITS;

  // The word of the group that is given out, counted from the cycle in which the group arrives.
  wire [ROWS*32-1:0] word;
  wire word_valid;
  wire word_last;
  wire [POSITION_BITS-1:0] word_position;
  wire [PARAMETER_ADDRESS_BITS-1:0] word_parameter;
  wire [ADDRESS_BITS-1:0] word_offset;
  wire [31:0] word_inputs;

  generate
    if (WORDS == 1) begin : direct
      assign word = {(ROWS / COLUMNS) {totals}};
      assign word_valid = totals_valid;
      assign word_last = totals_last;
      assign word_position = totals_position;
      assign word_parameter = {PARAMETER_ADDRESS_BITS{1'b0}};
      assign word_offset = {ADDRESS_BITS{1'b0}};
      assign word_inputs = activation_sum;
    end else begin : serial
      reg [COLUMNS*32-1:0] rest;
      reg [POSITION_BITS-1:0] position;
      reg [31:0] inputs;
      reg last;
      reg [PARAMETER_ADDRESS_BITS-1:0] index;
      reg [ADDRESS_BITS-1:0] offset;
      wire ending = index == WORDS - 1;
      assign word = totals_valid ? totals[ROWS*32-1:0] : rest[ROWS*32-1:0];
      assign word_valid = totals_valid | (index != {PARAMETER_ADDRESS_BITS{1'b0}});
      assign word_last = last & ending;
      assign word_position = totals_valid ? totals_position : position;
      assign word_parameter = index;
      assign word_offset = offset;
      assign word_inputs = totals_valid ? activation_sum : inputs;
      always @(posedge clk) begin
        if (rst) begin
          index <= {PARAMETER_ADDRESS_BITS{1'b0}};
          offset <= {ADDRESS_BITS{1'b0}};
          last <= 1'b0;
        end else if (word_valid) begin
          index <= ending ? {PARAMETER_ADDRESS_BITS{1'b0}} : index + 1'b1;
          offset <= ending ? {ADDRESS_BITS{1'b0}} : offset + out_step;
          if (totals_valid) last <= totals_last;
        end
        if (totals_valid) begin
          rest <= totals >> (ROWS * 32);
          position <= totals_position;
          inputs <= activation_sum;
        end else rest <= rest >> (ROWS * 32);
      end
    end
  endgenerate

  wire [POSITION_BITS-1:0] position_in = results_valid ? results_position : word_position;
  wire [ADDRESS_BITS-1:0] address_in;
  generate
    if (ADDRESS_BITS > POSITION_BITS) begin : wide
      assign address_in = out_base + word_offset + {{(ADDRESS_BITS - POSITION_BITS) {1'b0}}, position_in};
    end else begin : narrow
      assign address_in = out_base + word_offset + position_in[ADDRESS_BITS-1:0];
    end
  endgenerate

  reg [ROWS*32-1:0] sums;
  reg [31:0] inputs_held;
  wire [ROWS*LANE_BITS-1:0] parameters;

  rom #(
    .FILE(PARAMETER_FILE), .WIDTH(ROWS * LANE_BITS), .DEPTH(PARAMETER_DEPTH), .ADDRESS_BITS(PARAMETER_ADDRESS_BITS)
  ) lane_parameters (
    .clk(clk), .address(parameter_base + word_parameter), .data(parameters)
  );

  always @(posedge clk) begin
    if (word_valid | results_valid) sums <= results_valid ? results : word;
    inputs_held <= word_valid ? word_inputs : 32'd0;
  end

  wire [1:0] arrived = {word_valid | results_valid, (word_valid & word_last) | (results_valid & results_last)};
  wire [1:0] leaving;
  delay #(.WIDTH(2), .STAGES(4)) flags (.clk(clk), .rst(rst), .in(arrived), .out(leaving));
  delay #(.WIDTH(1), .STAGES(2)) seen (.clk(clk), .rst(rst), .in(word_valid), .out(total_valid));
  delay #(.WIDTH(ADDRESS_BITS), .STAGES(4)) addresses (
    .clk(clk), .rst(1'b0), .in(address_in), .out(write_address)
  );
  assign write = leaving[1] ? lanes : {ROWS{1'b0}};
  assign pass_done = leaving[0];

  genvar i;
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : lane
      wire [LANE_BITS-1:0] own = parameters[i*LANE_BITS+:LANE_BITS];
      post_lane #(
        .WEIGHT_ZEROS(WEIGHT_ZEROS),
        .WRAP_BITS(WRAP_BITS),
        .FRACTION_BITS(FRACTION_BITS),
        .WEIGHT_ZERO_BITS(WEIGHT_ZERO_BITS)
      ) requantise (
        .clk(clk),
        .sum(sums[i*32+:32]),
        .activation_sum(inputs_held),
        .bias(own[31:0]),
        .multiplier(own[47:32]),
        .shift(own[53:48]),
        .weight_zero(own[LANE_BITS-1:54]),
        .wrap(wrap),
        .fraction(fraction),
        .zero(zero),
        .low(low),
        .high(high),
        .total(total[i*32+:32]),
        .code(codes[i*32+:32])
      );
    end
  endgenerate
endmodule
