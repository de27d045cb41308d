// Walks over the taps of a window (channel block, row, column) and over its positions (row, column), and gives the
// address of the activation word that lies under a tap at a position. Address and `outside` come one cycle after the
// counters. Everything is added up from the strides of the descriptor; nothing is multiplied.
module walker #(
  parameter ADDRESS_BITS = 1,
  parameter COUNT_BITS = 1,
  parameter COORDINATE_BITS = 2,
  parameter POSITION_BITS = 1
) (
  input wire clk,
  input wire start,
  input wire next_tap,
  input wire next_position,
  input wire keep,                // remember this position
  input wire back,                // return to the remembered position; goes before next_position
  // from the descriptor; counts are less one
  input wire [ADDRESS_BITS-1:0] base,
  input wire [COORDINATE_BITS-1:0] first_y,
  input wire [COORDINATE_BITS-1:0] first_x,
  input wire [COORDINATE_BITS-1:0] height,
  input wire [COORDINATE_BITS-1:0] width,
  input wire [COUNT_BITS-1:0] blocks,
  input wire [COUNT_BITS-1:0] kernel_rows,
  input wire [COUNT_BITS-1:0] kernel_columns,
  input wire [COUNT_BITS-1:0] rows,
  input wire [COUNT_BITS-1:0] columns,
  input wire [ADDRESS_BITS-1:0] block_words,
  input wire [ADDRESS_BITS-1:0] tap_row_words,
  input wire [ADDRESS_BITS-1:0] row_words,
  input wire [COORDINATE_BITS-1:0] tap_y,
  input wire [COORDINATE_BITS-1:0] tap_x,
  input wire [COORDINATE_BITS-1:0] stride_y,
  input wire [COORDINATE_BITS-1:0] stride_x,
  input wire [ADDRESS_BITS-1:0] tap_words,
  input wire [ADDRESS_BITS-1:0] column_words,
  // where it stands
  output wire tap_first,
  output wire tap_last,
  output wire position_last,
  output wire second_block,
  output reg [POSITION_BITS-1:0] position,
  output reg [ADDRESS_BITS-1:0] address,
  output reg outside
);
  reg [COUNT_BITS-1:0] block, kernel_row, kernel_column, row, column;
  reg [COORDINATE_BITS-1:0] y_tap, x_tap, y_row, x_column;
  reg [ADDRESS_BITS-1:0] block_address, tap_row_address, tap_address, row_address, column_address;

  // the remembered position
  reg [COUNT_BITS-1:0] kept_row, kept_column;
  reg [COORDINATE_BITS-1:0] kept_y_row, kept_x_column;
  reg [ADDRESS_BITS-1:0] kept_row_address, kept_column_address;
  reg [POSITION_BITS-1:0] kept_position;

  wire block_end = block == blocks;
  wire kernel_row_end = kernel_row == kernel_rows;
  wire kernel_column_end = kernel_column == kernel_columns;
  wire row_end = row == rows;
  wire column_end = column == columns;
  wire signed [COORDINATE_BITS-1:0] y = first_y + y_tap + y_row;
  wire signed [COORDINATE_BITS-1:0] x = first_x + x_tap + x_column;
  wire signed [COORDINATE_BITS-1:0] signed_height = height;
  wire signed [COORDINATE_BITS-1:0] signed_width = width;

  assign tap_first = block == 0 && kernel_row == 0 && kernel_column == 0;
  assign tap_last = block_end & kernel_row_end & kernel_column_end;
  assign position_last = row_end & column_end;
  assign second_block = block != 0;

  always @(posedge clk) begin
    address <= base + tap_address + column_address;
    outside <= y < 0 || y >= signed_height || x < 0 || x >= signed_width;
  end

  always @(posedge clk) begin
    if (start) begin
      block <= 0;
      kernel_row <= 0;
      kernel_column <= 0;
      y_tap <= 0;
      x_tap <= 0;
      block_address <= 0;
      tap_row_address <= 0;
      tap_address <= 0;
    end else if (next_tap) begin
      kernel_column <= kernel_column_end ? 0 : kernel_column + 1'b1;
      x_tap <= kernel_column_end ? 0 : x_tap + tap_x;
      if (!kernel_column_end) tap_address <= tap_address + tap_words;
      else begin
        kernel_row <= kernel_row_end ? 0 : kernel_row + 1'b1;
        y_tap <= kernel_row_end ? 0 : y_tap + tap_y;
        if (!kernel_row_end) begin
          tap_row_address <= tap_row_address + tap_row_words;
          tap_address <= tap_row_address + tap_row_words;
        end else begin
          block <= block_end ? 0 : block + 1'b1;
          block_address <= block_end ? 0 : block_address + block_words;
          tap_row_address <= block_end ? 0 : block_address + block_words;
          tap_address <= block_end ? 0 : block_address + block_words;
        end
      end
    end
  end

  always @(posedge clk) begin
    if (start) begin
      row <= 0;
      column <= 0;
      y_row <= 0;
      x_column <= 0;
      row_address <= 0;
      column_address <= 0;
      position <= 0;
    end else if (back) begin
      row <= kept_row;
      column <= kept_column;
      y_row <= kept_y_row;
      x_column <= kept_x_column;
      row_address <= kept_row_address;
      column_address <= kept_column_address;
      position <= kept_position;
    end else if (next_position) begin
      position <= position_last ? 0 : position + 1'b1;
      column <= column_end ? 0 : column + 1'b1;
      x_column <= column_end ? 0 : x_column + stride_x;
      if (!column_end) column_address <= column_address + column_words;
      else begin
        row <= row_end ? 0 : row + 1'b1;
        y_row <= row_end ? 0 : y_row + stride_y;
        row_address <= row_end ? 0 : row_address + row_words;
        column_address <= row_end ? 0 : row_address + row_words;
      end
    end
  end

  always @(posedge clk) begin
    if (keep) begin
      kept_row <= row;
      kept_column <= column;
      kept_y_row <= y_row;
      kept_x_column <= x_column;
      kept_row_address <= row_address;
      kept_column_address <= column_address;
      kept_position <= position;
    end
  end
endmodule
