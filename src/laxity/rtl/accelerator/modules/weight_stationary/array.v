// The systolic array: ROWS x COLUMNS processing elements, with registers that skew what enters and align what leaves.
//
// Row r sees its activation and the tokens r cycles late, column c its weights c cycles late. So the weight word for
// row r enters r cycles after the load token. The sums of one word of activations leave all columns together,
// ROWS + COLUMNS - 1 cycles after it has entered.
module array #(
  parameter ROWS = 2,
  parameter COLUMNS = 2,
  parameter A_BITS = 8,
  parameter W_BITS = 8,
  parameter PRODUCT_BITS = 16,
  parameter SUM_BITS = 20,
  parameter SELECT_BITS = 1
) (
  input wire clk,
  input wire rst,
  input wire [SELECT_BITS-1:0] select,
  input wire load,
  input wire swap,
  input wire [ROWS*(A_BITS+1)-1:0] activations,
  input wire [COLUMNS*(W_BITS+1)-1:0] weights,
  output wire [COLUMNS*SUM_BITS-1:0] sums
);
  // Wires between elements: index (row, column); column COLUMNS and row ROWS are the far edges.
  wire [A_BITS:0] a [0:ROWS*(COLUMNS+1)-1];
  wire load_token [0:ROWS*(COLUMNS+1)-1];
  wire swap_token [0:ROWS*(COLUMNS+1)-1];
  wire [SUM_BITS-1:0] sum [0:(ROWS+1)*COLUMNS-1];
  wire [W_BITS:0] w [0:COLUMNS-1];

  genvar r, c;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : row
      delay #(.WIDTH(A_BITS + 1), .STAGES(r)) skew (
        .clk(clk), .rst(1'b0), .in(activations[r*(A_BITS+1)+:A_BITS+1]), .out(a[r*(COLUMNS+1)])
      );
      delay #(.WIDTH(2), .STAGES(r)) token_skew (
        .clk(clk), .rst(rst), .in({load, swap}), .out({load_token[r*(COLUMNS+1)], swap_token[r*(COLUMNS+1)]})
      );
      for (c = 0; c < COLUMNS; c = c + 1) begin : column
        pe #(
          .A_BITS(A_BITS), .W_BITS(W_BITS), .PRODUCT_BITS(PRODUCT_BITS), .SUM_BITS(SUM_BITS), .SELECT_BITS(SELECT_BITS)
        ) pe (
          .clk(clk),
          .select(select),
          .load_in(load_token[r*(COLUMNS+1)+c]),
          .swap_in(swap_token[r*(COLUMNS+1)+c]),
          .a_in(a[r*(COLUMNS+1)+c]),
          .w_in(w[c]),
          .sum_in(sum[r*COLUMNS+c]),
          .load_out(load_token[r*(COLUMNS+1)+c+1]),
          .swap_out(swap_token[r*(COLUMNS+1)+c+1]),
          .a_out(a[r*(COLUMNS+1)+c+1]),
          .sum_out(sum[(r+1)*COLUMNS+c])
        );
      end
    end
    for (c = 0; c < COLUMNS; c = c + 1) begin : edges
      delay #(.WIDTH(W_BITS + 1), .STAGES(c)) skew (
        .clk(clk), .rst(1'b0), .in(weights[c*(W_BITS+1)+:W_BITS+1]), .out(w[c])
      );
      assign sum[c] = {SUM_BITS{1'b0}};
      delay #(.WIDTH(SUM_BITS), .STAGES(COLUMNS - 1 - c)) align (
        .clk(clk), .rst(1'b0), .in(sum[ROWS*COLUMNS+c]), .out(sums[c*SUM_BITS+:SUM_BITS])
      );
    end
  endgenerate
endmodule
