@HEADER@
module accelerator (
  input wire clk,
  input wire rst,                               // synchronous; hold it for RESET_CYCLES cycles at least
  // one image: @ROWS@ codes per beat
  input wire [@IN_BITS@-1:0] s_axis_tdata,
  input wire s_axis_tvalid,
  output wire s_axis_tready,
  input wire s_axis_tlast,
  // its result: one 32-bit integer per beat
  output wire [31:0] m_axis_tdata,
  output wire m_axis_tvalid,
  input wire m_axis_tready,
  output wire m_axis_tlast,
  // for observation: high in the last cycle of a step, the cycles that it took, and whether tlast ever came wrong
  output wire step_done,
  output wire [31:0] step_cycles,
  output wire framing_error
);
@PARAMETERS@

  // ---- control
  wire loading, unloading, loaded, unloaded, pass_done;
  wire start, issue, tile_start, next_tap, next_position, tap_first, tap_last, position_last, second_block, keep, back;
  wire [PASS_BITS-1:0] pass;
  wire [INSTRUCTION_BITS-1:0] instruction;
  wire [WEIGHT_ADDRESS_BITS-1:0] weight_address;
  wire [POSITION_BITS-1:0] position;
@FIELD_WIRES@

  rom #(.FILE("program.hex"), .WIDTH(INSTRUCTION_BITS), .DEPTH(PASSES), .ADDRESS_BITS(PASS_BITS)) program_memory (
    .clk(clk), .address(pass), .data(instruction)
  );

  descriptor descriptor (
    .instruction(instruction),
@FIELD_PORTS@
  );

  controller #(
    .ROWS(ROWS), .WORDS(GROUP_WORDS), .PASS_BITS(PASS_BITS), .WEIGHT_ADDRESS_BITS(WEIGHT_ADDRESS_BITS)
  ) controller (
    .clk(clk), .rst(rst), .image_loaded(loaded), .pass_done(pass_done), .result_unloaded(unloaded),
    .vector(f_vector), .step_end(f_step_end), .program_end(f_program_end), .weight_base(f_weight_base),
    .tap_first(tap_first), .tap_last(tap_last), .position_last(position_last),
    .pass(pass), .loading(loading), .unloading(unloading), .start(start), .next_tap(next_tap),
    .next_position(next_position), .keep(keep), .back(back), .issue(issue), .tile_start(tile_start),
    .weight_address(weight_address),
    .step_done(step_done), .step_cycles(step_cycles)
  );

  // ---- activations: cycle 0 counters, cycle 1 address, cycle 2 word, cycle 3 operands at the array
  wire [ADDRESS_BITS-1:0] read_address, in_address, write_address;
  wire [ROWS*CODE_BITS-1:0] in_word, word, code_word;
  wire [ROWS-1:0] in_write, post_write;
  wire [ROWS*32-1:0] codes;
  wire outside;
  reg outside_word;

  walker #(
    .ADDRESS_BITS(ADDRESS_BITS), .COUNT_BITS(COUNT_BITS), .COORDINATE_BITS(COORDINATE_BITS),
    .POSITION_BITS(POSITION_BITS)
  ) walker (
    .clk(clk), .start(start), .next_tap(next_tap), .next_position(next_position), .keep(keep), .back(back),
    .base(f_base), .first_y(f_first_y), .first_x(f_first_x), .height(f_height), .width(f_width), .blocks(f_blocks),
    .kernel_rows(f_kernel_rows), .kernel_columns(f_kernel_columns), .rows(f_rows), .columns(f_columns),
    .block_words(f_block_words), .tap_row_words(f_tap_row_words), .row_words(f_row_words), .tap_y(f_tap_y),
    .tap_x(f_tap_x), .stride_y(f_stride_y), .stride_x(f_stride_x), .tap_words(f_tap_words),
    .column_words(f_column_words),
    .tap_first(tap_first), .tap_last(tap_last), .position_last(position_last), .second_block(second_block),
    .position(position), .address(read_address), .outside(outside)
  );

  memory #(.LANES(ROWS), .LANE_BITS(CODE_BITS), .DEPTH(ACTIVATION_WORDS), .ADDRESS_BITS(ADDRESS_BITS)) activations (
    .clk(clk),
    .write(loading ? in_write : post_write & {ROWS{~f_to_output}}),
    .write_address(loading ? in_address : write_address),
    .write_data(loading ? in_word : code_word),
    .read_address(read_address),
    .read_data(word)
  );

  stream_in #(
    .ROWS(ROWS), .CODE_BITS(CODE_BITS), .BEAT_BITS(BEAT_BITS), .WORDS(IN_WORDS), .FULL_WORDS(IN_FULL_WORDS),
    .LAST_LANES(IN_LAST_LANES), .ZERO(IN_ZERO), .ADDRESS_BITS(ADDRESS_BITS)
  ) stream_in (
    .clk(clk), .rst(rst), .enable(loading), .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tlast(s_axis_tlast),
    .tready(s_axis_tready), .write(in_write), .address(in_address), .data(in_word), .loaded(loaded),
    .framing_error(framing_error)
  );

  // What accompanies a word from the counters to the operands.
  wire operand_valid, operand_first, operand_last, operand_end, operand_second, early_second;
  wire [POSITION_BITS-1:0] operand_position;
  delay #(.WIDTH(2), .STAGES(3)) operand_flags (
    .clk(clk), .rst(rst), .in({issue, issue & tap_last & position_last}), .out({operand_valid, operand_end})
  );
  delay #(.WIDTH(2 + POSITION_BITS), .STAGES(3)) operand_place (
    .clk(clk), .rst(1'b0), .in({tap_first, tap_last, position}), .out({operand_first, operand_last, operand_position})
  );
  delay #(.WIDTH(1), .STAGES(2)) second_early (.clk(clk), .rst(1'b0), .in(second_block), .out(early_second));
  delay #(.WIDTH(1), .STAGES(1)) second_late (.clk(clk), .rst(1'b0), .in(early_second), .out(operand_second));
  always @(posedge clk) outside_word <= outside;

  wire code_signed = early_second ? f_second_signed : f_signed_codes;
  reg [ROWS*(A_BITS+1)-1:0] operands;
  reg [ROWS*(CODE_BITS+1)-1:0] values;
  wire [ROWS*(A_BITS+1)-1:0] next_operands;
  wire [ROWS*(CODE_BITS+1)-1:0] next_values;

  genvar i;
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : lane
      wire top = code_signed & word[(i+1)*CODE_BITS-1];
      assign next_values[i*(CODE_BITS+1)+:CODE_BITS+1] =
        outside_word ? f_pad_code : {top, word[i*CODE_BITS+:CODE_BITS]};
      operand #(
        .CODE_BITS(CODE_BITS + 1), .A_BITS(A_BITS), .SHIFT_BITS(CODE_SHIFT_BITS), .WIDE_BITS(WIDE_BITS)
      ) operand (
        .code(next_values[i*(CODE_BITS+1)+:CODE_BITS+1]), .shift(f_code_shift), .magnitude(f_magnitude),
        .a(next_operands[i*(A_BITS+1)+:A_BITS+1])
      );
      assign code_word[i*CODE_BITS+:CODE_BITS] = codes[i*32+:CODE_BITS];
    end
  endgenerate

  // Words whose codes go to other lanes are rotated on their way to the vector unit.
  wire [ROWS*(CODE_BITS+1)-1:0] rotated_values;
  generate
    if (ROTATIONS) begin : rotation
      wire [2*ROWS*(CODE_BITS+1)-1:0] twice = {next_values, next_values} >> ((ROWS - f_rotation) * (CODE_BITS + 1));
      assign rotated_values = twice[ROWS*(CODE_BITS+1)-1:0];
    end else begin : no_rotation
      assign rotated_values = next_values;
    end
  endgenerate

  always @(posedge clk) begin
    if (f_vector) values <= rotated_values;
    else operands <= next_operands;
  end

  // ---- the array: totals of all columns for one position at a time
  wire totals_valid, totals_end;
  wire [POSITION_BITS-1:0] totals_position;
  wire [COLUMNS*32-1:0] totals;
  wire [31:0] activation_total;

  engine #(
    .ROWS(ROWS), .COLUMNS(COLUMNS), .CODE_BITS(CODE_BITS + 1), .A_BITS(A_BITS), .W_BITS(W_BITS),
    .PRODUCT_BITS(PRODUCT_BITS), .SUM_BITS(SUM_BITS), .CODE_SUM_BITS(CODE_SUM_BITS), .SELECT_BITS(SELECT_BITS),
    .PRODUCT_SHIFT_BITS(PRODUCT_SHIFT_BITS), .POSITION_BITS(POSITION_BITS), .ACCUMULATOR_WORDS(ACCUMULATOR_WORDS),
    .WEIGHT_WORDS(WEIGHT_WORDS), .WEIGHT_ADDRESS_BITS(WEIGHT_ADDRESS_BITS), .WEIGHT_ZEROS(WEIGHT_ZEROS)
  ) engine (
    .clk(clk), .rst(rst), .select(f_core), .product_shift(f_product_shift),
    .weight_address(weight_address), .tile_start(tile_start),
    .codes(next_values), .operands(operands), .valid(operand_valid & ~f_vector), .first(operand_first),
    .final_tile(operand_last), .ending(operand_end & ~f_vector), .position(operand_position),
    .totals_valid(totals_valid), .totals_end(totals_end), .totals_position(totals_position), .totals(totals),
    .activation_total(activation_total)
  );

  // ---- the vector unit: results two cycles after the operands
  wire [ROWS*32-1:0] results;
  wire results_valid, results_end;
  wire [POSITION_BITS-1:0] results_position;
  wire [15:0] factor = operand_second ? f_second_factor : f_factor;

  delay #(.WIDTH(2), .STAGES(2)) result_flags (
    .clk(clk), .rst(rst), .in({operand_valid & operand_last & f_vector, operand_end & f_vector}),
    .out({results_valid, results_end})
  );
  delay #(.WIDTH(POSITION_BITS), .STAGES(2)) result_place (
    .clk(clk), .rst(1'b0), .in(operand_position), .out(results_position)
  );
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : vector_unit
      vector_lane #(.CODE_BITS(CODE_BITS + 1), .FACTORS(FACTORS)) lane (
        .clk(clk), .code(values[i*(CODE_BITS+1)+:CODE_BITS+1]), .factor(factor), .maximum(f_maximum),
        .valid(operand_valid & f_vector), .first(operand_first), .result(results[i*32+:32])
      );
    end
  endgenerate

  // ---- from sums to codes
  wire total_valid;
  wire [ROWS*32-1:0] total;

  post #(
    .ROWS(ROWS), .COLUMNS(COLUMNS), .WORDS(GROUP_WORDS), .ADDRESS_BITS(ADDRESS_BITS), .POSITION_BITS(POSITION_BITS),
    .PARAMETER_FILE("parameters.hex"), .PARAMETER_DEPTH(PARAMETER_WORDS),
    .PARAMETER_ADDRESS_BITS(PARAMETER_ADDRESS_BITS), .WEIGHT_ZEROS(WEIGHT_ZEROS), .WEIGHT_ZERO_BITS(WEIGHT_ZERO_BITS),
    .WRAP_BITS(WRAP_BITS), .FRACTION_BITS(FRACTION_BITS)
  ) post (
    .clk(clk), .rst(rst),
    .totals_valid(totals_valid), .totals_last(totals_end), .totals_position(totals_position), .totals(totals),
    .activation_sum(activation_total),
    .results_valid(results_valid), .results_last(results_end), .results_position(results_position), .results(results),
    .parameter_base(f_parameter_base), .out_base(f_out_base), .out_step(f_out_words), .lanes(f_lanes), .wrap(f_wrap),
    .fraction(f_fraction), .zero(f_zero), .low(f_low), .high(f_high),
    .write(post_write), .write_address(write_address), .codes(codes), .pass_done(pass_done),
    .total_valid(total_valid), .total(total)
  );

  // ---- the result
  wire [ROWS*OUT_BITS-1:0] out_word, result_word;
  wire [ADDRESS_BITS-1:0] out_address;
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : out_lane
      assign result_word[i*OUT_BITS+:OUT_BITS] = codes[i*32+:OUT_BITS];
    end
  endgenerate

  memory #(.LANES(ROWS), .LANE_BITS(OUT_BITS), .DEPTH(OUT_MEMORY_WORDS), .ADDRESS_BITS(ADDRESS_BITS)) result_memory (
    .clk(clk),
    .write(post_write & {ROWS{f_to_output}}),
    .write_address(write_address),
    .write_data(result_word),
    .read_address(out_address),
    .read_data(out_word)
  );

  stream_out #(
    .ROWS(ROWS), .CODE_BITS(OUT_BITS), .SIGNED(OUT_SIGNED), .WORDS(OUT_WORDS), .FULL_WORDS(OUT_FULL_WORDS),
    .LAST_LANES(OUT_LAST_LANES), .ADDRESS_BITS(ADDRESS_BITS)
  ) stream_out (
    .clk(clk), .rst(rst), .enable(unloading), .address(out_address), .word(out_word), .tdata(m_axis_tdata),
    .tvalid(m_axis_tvalid), .tlast(m_axis_tlast), .tready(m_axis_tready), .unloaded(unloaded)
  );
endmodule
